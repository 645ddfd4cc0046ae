"""What a forked gateway takes for Python: it asks the fork server (`fork_server.py`) to run a module, and waits for it.

It stands in a file of its own behind two lines: which Python runs it, and `SERVER`, the address to ask at. It imports
next to nothing: it runs where a start is to cost next to nothing.
"""

import _socket
import array
import os
import sys

SERVER = globals().get("SERVER", "")


def main() -> int:
    """Ask, wait, and end as the module ended."""
    asking = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
    asking.connect(SERVER)
    words = sys.argv[1:]
    named = [f"{name}={value}" for name, value in os.environ.items()]
    folder = os.getcwd()  # noqa: PTH109 - pathlib takes longer to import than all of this
    text = "\0".join([folder, str(len(words)), *words, *named])
    files = array.array("i", [0, 1, 2])
    asking.sendmsg([text.encode()], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, files)])
    asking.recv(100)  # the process id
    status = asking.recv(100)
    if not status:
        raise SystemExit("the fork server is gone")
    return int(status) % 256


if __name__ == "__main__":
    sys.exit(main())
