"""The parts of a gateway put together from its settings: the one place that knows them all.

Source: `architecture.md` of the design: what a layer needs from its own layer is passed in here.
"""

from __future__ import annotations

import asyncio
import base64
import functools
import hashlib
import secrets
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import UTC, date, datetime
from importlib import metadata
from pathlib import Path

from gateway import documents, fhir, specs, upstream
from gateway.config import CHAINS, EXPORTS, FILES, ConfigError, Settings
from gateway.hl7v2 import dictionary
from gateway.identity.audit_keys import audit_keys
from gateway.identity.private_file import create_private, make_folder
from gateway.interactions import anchor_told
from gateway.interactions.anchoring import Anchoring, Often
from gateway.interactions.exports import Exports
from gateway.interactions.files import Files
from gateway.interactions.gateway import Gateway, NotReread, Target
from gateway.interactions.order import Order
from gateway.interactions.paging import Paging
from gateway.interactions.unchanged import Unchanged
from gateway.journal import Journal, audit_chain
from gateway.journal.audit_anchors import Anchor
from gateway.journal.audit_chain import Chaining, Keys
from gateway.journal.opening import journal_of, keys_of
from gateway.journal.sealed_journal import SealedJournal
from gateway.loading import Decisions, NotLoaded, decisions, files
from gateway.rules import RuleSet
from gateway.source import Keep, made_anew, render
from gateway.specs import FhirTables
from gateway.telemetry.chosen import watching
from gateway.trust import trusted
from gateway.upstream.embedded_server import EmbeddedServer

EMBEDDED = "embedded"
SECRET = 32
"""Units: bytes."""


def published(settings: Settings) -> documents.Published:
    """What the documents tell of a site's configuration."""
    return documents.Published(
        public_url=settings.public_url,
        version=_version(),
        application=settings.application,
        facility=settings.facility,
        body_limit=settings.body_limit,
        batch_limit=settings.batch_limit,
        file_limit=settings.file_limit,
        rows_at_once=settings.rows_at_once,
        batch_within=settings.batch_within,
        client_secrets=settings.client_secrets,
        versioned_updates=settings.versioned_updates,
    )


@functools.cache
def _version() -> str:
    return metadata.version("healthcare-exchange-gateway")


def openapi_text(loaded: Decisions, settings: Settings) -> str:
    """OpenAPI document of loaded rules, with the samples beside them."""
    return library(settings, loaded, date.min).openapi().decode()


def library(settings: Settings, loaded: Decisions, today: date) -> documents.Library:
    """The documents of loaded rules, with the samples beside them. Shape: `today` is when they were loaded."""
    samples = documents.read_samples(settings.rules, loaded.rules.domains)
    return documents.Library(
        loaded.rules, published(settings), loaded.tables, samples=samples, trials=loaded.trials, date=today.isoformat()
    )


class Connections:
    """Targets that were connected, each once, until the gateway is closed."""

    def __init__(self, settings: Settings, stack: AsyncExitStack, *, own_writer: bool) -> None:
        """Connect nothing yet; `stack` closes what is connected."""
        self._settings = settings
        self._stack = stack
        self._own_writer = own_writer
        self._known: dict[tuple[str, str], Target] = {}

    def of(self, ruleset: RuleSet) -> dict[str, Target]:
        """The targets that rules declare, by name.

        Errors: ConfigError, AddressError.
        """
        return {name: self._one(name, address) for name, address in addresses(self._settings, ruleset).items()}

    def _one(self, name: str, address: str) -> Target:
        known = self._known.get((name, address))
        if known is None:
            # there is one store in a data folder, whatever targets are in it
            stores = (one for one in self._known.values() if isinstance(one, EmbeddedServer))
            first = next(stores, None) if address == EMBEDDED else None
            known = self._connected(name, address) if first is None else first.under(name)
            self._known[name, address] = known
        return known

    def _connected(self, name: str, address: str) -> Target:
        made = upstream.connect(
            name,
            address,
            data=self._settings.data,
            own_writer=self._own_writer,
            public=self._settings.public_url,
            credentials=self._settings.credentials.get(name),
        )
        self._stack.push_async_callback(made.aclose)
        return made


class FilesAgain:
    """Reads the rules' files again, and all that stands on them: maps, layouts, tables, documents."""

    def __init__(self, settings: Settings, connections: Connections, keep: Keep, loaded: Decisions) -> None:
        """Read nothing yet. Shape: `loaded` is what the files gave the first time."""
        self._settings = settings
        self._connections = connections
        self._keep = keep
        self._loaded = loaded
        self.began: Hashable = None if loaded.looked is None else loaded.looked.rules
        self.every = settings.rules_watched or None

    async def look(self) -> Hashable:
        """Names, sizes and times of the files in the rules' folder."""
        return await asyncio.to_thread(files, self._settings.rules)

    async def renewed(self, gateway: Gateway) -> Gateway:
        """The same gateway with what the files hold now, read in a thread while requests go on.

        Errors: NotReread.
        """
        try:
            return await asyncio.to_thread(self._renewed, gateway)
        except NotLoaded as fault:
            errors = [one for one in fault.diagnostics if one.severity == "error"]
            place = errors[0].span
            first = f"{place.source.name}:{place.line}: {errors[0].code}"
            raise NotReread(len(errors), first, tuple(map(render, errors))) from fault
        except (ConfigError, OSError, ValueError, specs.SpecsError) as fault:
            raise NotReread(1, "the settings or the files; the log says what is wrong", (str(fault),)) from fault

    def _renewed(self, gateway: Gateway) -> Gateway:
        chosen = self._settings
        loaded = self._loaded = decisions(chosen.rules, chosen.specs, self._keep, self._loaded)
        return replace(
            gateway,
            rules=loaded.rules,
            maps=loaded.maps,
            row_maps=loaded.row_maps,
            tables=loaded.tables,
            elements=loaded.elements,
            merging=fhir.Merging(loaded.elements),
            documents=library(chosen, loaded, gateway.clock().date()),
            targets=self._connections.of(loaded.rules),
        )


@asynccontextmanager
async def opened(
    settings: Settings,
    loaded: Decisions,
    *,
    clock: Callable[[], datetime] | None = None,
    own_writer: bool = False,
    keep: Keep = made_anew,
    worker: int | None = None,
) -> AsyncIterator[Gateway]:
    """Open a gateway on its data folder, and close it again.

    Shape: `clock` answers the moment with its offset; the machine's where none is given. `keep` holds what the files
    were parsed to, for when they are read again. `worker` says which of several processes on the data folder this is.
    Errors: ConfigError, KeysError, Unsealable, JournalUnavailable: a gateway that can't do its work doesn't start.
    """
    now = clock or (lambda: datetime.now(UTC))
    keys = settings.keys_folder
    own = settings.own_folder(worker)
    make_folder(own)
    make_folder(keys)
    paging, hashing = kept_secret(keys / "paging.key"), kept_secret(keys / "hash.key")
    same = {"paging.key": fingerprint(paging), "hash.key": fingerprint(hashing)}
    # each run of a gateway begins a chain, so that no two ever write to one
    chaining = Chaining(str(uuid.uuid4()), chain_keys(settings))
    async with AsyncExitStack() as stack:
        watch = await stack.enter_async_context(watching(settings, worker))
        own_store = EMBEDDED in addresses(settings, loaded.rules).values()
        storage = journal_of(settings, same, chaining, own_store=own_store, worker=worker)
        sealing = keys_of(settings)
        journal = await stack.enter_async_context(SealedJournal(storage, sealing))
        connections = Connections(settings, stack, own_writer=own_writer)
        trust = await stack.enter_async_context(trusted(settings, journal, loaded.rules))
        files = Files(settings.data / FILES, sealing)
        stack.push_async_callback(files.stop)
        exports = Exports(settings.data / EXPORTS)
        stack.push_async_callback(exports.stop)
        yield Gateway(
            settings=settings,
            rules=loaded.rules,
            maps=loaded.maps,
            row_maps=loaded.row_maps,
            tables=loaded.tables,
            elements=loaded.elements,
            merging=fhir.Merging(loaded.elements),
            versions=dictionary.versions(settings.specs),
            documents=library(settings, loaded, now().date()),
            journal=journal,
            files=files,
            targets=connections.of(loaded.rules),
            issuer=trust.issuer,
            verifier=trust.verifier,
            certificates=trust.certificates,
            paging=Paging(base64.urlsafe_b64encode(paging)),
            order=Order(journal),
            unchanged=Unchanged(),
            secret=hashing,
            clock=now,
            rereading=FilesAgain(settings, connections, keep, loaded),
            exports=exports,
            watch=watch,
            worker=worker,
            anchoring=Anchoring(
                journal, chaining, settings.anchors_file, own / CHAINS,
                Often(settings.audit_anchor_rows, settings.audit_anchor_seconds), now, lambda: chain_keys(settings),
                telling(settings, loaded.rules, loaded.tables, journal),
            ),
        )  # fmt: skip


def telling(
    settings: Settings, ruleset: RuleSet, tables: FhirTables, journal: Journal
) -> Callable[[Anchor], Awaitable[int]]:
    """What hands the audit's anchors to the target that is configured; nothing where none is.

    Errors: ConfigError for a target that no rule file declares, or that takes no Fhir.
    """
    name = settings.audit_anchors_to
    target = None if name is None else ruleset.registry.targets.get(name)
    if name is not None and (target is None or target.takes != "Fhir"):
        known = sorted(one.name for one in ruleset.registry.targets.values() if one.takes == "Fhir")
        words = f"setting `audit_anchors_to` names {name}; declared targets that take Fhir: "
        raise ConfigError(words + (", ".join(known) or "none"))

    async def tell(one: Anchor) -> int:
        return 0 if name is None else await anchor_told.tell(journal, name, settings.public_url, one, tables)

    return tell


def chain_keys(settings: Settings) -> Keys:
    """The keys that the audit's rows are chained with, made at the first run. Errors: BadAuditKeys."""
    return audit_chain.keys_of(audit_keys(settings.audit_key))


def addresses(settings: Settings, ruleset: RuleSet) -> dict[str, str]:
    """Address of each declared target: the configured one; a FHIR target without one is the embedded store.

    Errors: ConfigError for an address configured for a target that no rule file declares, and for the embedded store
    where several processes would have it.
    """
    declared = ruleset.registry.targets
    for setting, named in (("targets", settings.targets), ("credentials", settings.credentials)):
        strangers = sorted(set(named) - set(declared))
        if strangers:
            raise ConfigError(
                f"setting `{setting}` names {', '.join(strangers)}, which no rule file declares; declared targets: "
                f"{', '.join(sorted(declared)) or 'none'}"
            )
    embedded = {name: EMBEDDED for name, target in declared.items() if target.takes == "Fhir"}
    given = {
        name: f"hl7v2+{address}" if declared[name].takes == "Hl7v2" and address.startswith("http") else address
        for name, address in settings.targets.items()
    }
    found = {**embedded, **given}
    stored = sorted(name for name, address in found.items() if address == EMBEDDED)
    if stored and settings.workers > 1:
        raise ConfigError(
            f"workers is {settings.workers}, and {', '.join(stored)} would be the embedded store, which is for one "
            'process: give each an address of a FHIR server in `targets` (gateway/README.md, "Several gateways"), or '
            "leave workers out"
        )
    return found


def kept_secret(path: Path) -> bytes:
    """Secret of 32 bytes in a file for the gateway alone, made at the first run.

    Errors: ConfigError for a file that holds anything else, which would hash and seal with less than a secret.
    """
    if not path.exists():
        create_private(path, secrets.token_bytes(SECRET))
    kept = path.read_bytes()
    if len(kept) != SECRET:
        raise ConfigError(
            f"{path} holds {len(kept)} bytes, and a secret has {SECRET}: put the file back from a backup; without one, "
            "remove it: a new one is made, and what was told under the old one (pages of searches, hashes in the "
            "audit) is found no more"
        )
    return kept


def fingerprint(secret: bytes) -> str:
    """What tells a secret from another and nothing else."""
    return hashlib.sha256(b"gateway secret\0" + secret).hexdigest()
