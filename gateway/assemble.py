"""The parts of a gateway put together from its settings: the one place that knows them all.

Source: `architecture.md` of the design: what a layer needs from its own layer is passed in here.
"""

from __future__ import annotations

import asyncio
import base64
import secrets
import stat
from collections.abc import AsyncIterator, Callable, Hashable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from importlib import metadata
from pathlib import Path

from gateway import documents, fhir, mapping, rules, specs, tabular, upstream
from gateway.config import ConfigError, Settings
from gateway.hl7v2 import dictionary
from gateway.identity import Credentials, Issuer, Verifier, built_in, signing_keys
from gateway.identity.private_file import create_private, make_folder
from gateway.interactions.exports import Exports
from gateway.interactions.files import Files
from gateway.interactions.gateway import Gateway, NotReread, Target
from gateway.interactions.order import Order
from gateway.interactions.paging import Paging
from gateway.interactions.unchanged import Unchanged
from gateway.journal import Journal
from gateway.mapping import CodeMap, Maps, codes, rows
from gateway.mapping.rows import RowMap
from gateway.rules import RuleSet, Vocabulary
from gateway.rules.accepting import between
from gateway.rules.trial.declared import Trial
from gateway.source import Diagnostic, Keep, in_order, made_anew, render
from gateway.specs import FhirTables
from gateway.tabular import Layout

KEYS, CREDENTIALS, CLIENTS, FILES, EXPORTS = "keys", "credentials", "clients", "files", "exports"
EMBEDDED = "embedded"


class NotLoaded(Exception):  # noqa: N818 - says what happened; the diagnostics say what is wrong
    """Rules or maps with an error; nothing is served from them."""

    def __init__(self, diagnostics: tuple[Diagnostic, ...]) -> None:
        """Keep what to show."""
        super().__init__(f"{len(diagnostics)} diagnostics")
        self.diagnostics = diagnostics


_Files = tuple[tuple[str, int, int], ...]
"""Names, sizes and times of change of files."""


@dataclass(frozen=True, slots=True)
class Looked:
    """The files as they were just before they were read, so that whatever changes from then on is seen."""

    rules: _Files
    specs: _Files


@dataclass(frozen=True, slots=True)
class Decisions:
    """What decides and converts, loaded from `rules/` and `specs/`. Shape: `looked` where folders were read."""

    rules: RuleSet
    maps: Maps
    row_maps: Mapping[str, RowMap]
    tables: FhirTables
    elements: fhir.Elements
    warnings: tuple[Diagnostic, ...]
    trials: tuple[Trial, ...] = ()
    looked: Looked | None = None


def vocabulary(root: Path) -> Vocabulary:
    """The names that rules and maps are checked against.

    Errors: SpecsError for tables that can't be read.
    """
    tables = specs.fhir(root)
    return Vocabulary(
        dictionaries=dictionary.Dictionaries(root), elements=fhir.Elements(tables), tables=tables,
        layouts=layouts(root, codes.load(root / codes.FOLDER)), maps=frozenset(),
    )  # fmt: skip


def layouts(root: Path, code_maps: Mapping[str, CodeMap]) -> Mapping[str, Layout]:
    """The layouts of CSV files.

    Errors: NotLoaded with every diagnostic.
    """
    read = tabular.load(root, rows.known(code_maps))
    if read.diagnostics:
        raise NotLoaded(read.diagnostics)
    return read.layouts


def decisions(
    rules_folder: Path, specs_folder: Path, keep: Keep = made_anew, standing: Decisions | None = None
) -> Decisions:
    """Load rules and maps.

    Shape: `keep` holds what their files were parsed to; of `standing`, which was loaded before, the maps stay where
    nothing that they stand on is another: they take longest.
    Errors: NotLoaded with every diagnostic; SpecsError.
    """
    looked = Looked(_files(rules_folder), _files(specs_folder))
    names = vocabulary(specs_folder)
    read = rules.load(rules_folder, names, keep=keep)
    if read.rules is None or standing is None or not _stays(standing, looked, read.rules, names):
        return replace(decided(read, names, specs_folder, keep), looked=looked)
    return replace(standing, rules=read.rules, warnings=read.diagnostics, trials=read.trials, looked=looked)


def _stays(standing: Decisions, looked: Looked, ruleset: RuleSet, names: Vocabulary) -> bool:
    """Whether the files that maps are made of are those of before, and the versions of HL7 that rules accept."""
    same = standing.looked is not None and standing.looked.specs == looked.specs
    return same and _versions(standing.rules, names) == _versions(ruleset, names)


def decided(read: rules.Loaded, names: Vocabulary, specs_folder: Path, keep: Keep = made_anew) -> Decisions:
    """The same of rules that were read.

    Errors: NotLoaded with every diagnostic; SpecsError.
    """
    if read.rules is None:
        raise NotLoaded(read.diagnostics)
    mapped = mapping.load(specs_folder, accepted(read.rules, names), keep)
    marks = fhir.Marks(names.tables.systems.marks)
    by_row = rows.load(names.layouts, names.elements, codes.load(specs_folder / codes.FOLDER), marks, keep)
    found = in_order((*read.diagnostics, *mapped.diagnostics, *by_row.diagnostics))
    if mapped.maps is None or len(by_row.maps) < len(names.layouts):
        raise NotLoaded(found)
    return Decisions(read.rules, mapped.maps, by_row.maps, names.tables, names.elements, found, read.trials)


def accepted(ruleset: RuleSet, names: Vocabulary) -> Vocabulary:
    """The same names, with the dictionaries of the HL7 versions that some domain accepts alone."""
    accepts = [a for domain in ruleset.domains.values() for a in domain.accepts if a.data_type == "Hl7v2"]
    versions = {version for accept in accepts for version in between(accept.versions, names)}
    return replace(names, dictionaries={version: names.dictionaries[version] for version in sorted(versions)})


def published(settings: Settings) -> documents.Published:
    """What the documents tell of a site's configuration."""
    return documents.Published(
        public_url=settings.public_url,
        version=metadata.version("healthcare-exchange-gateway"),
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
            known = upstream.connect(
                name,
                address,
                data=self._settings.data,
                own_writer=self._own_writer,
                public=self._settings.public_url,
                credentials=self._settings.credentials.get(name),
            )
            self._stack.push_async_callback(known.aclose)
            self._known[name, address] = known
        return known


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
        return await asyncio.to_thread(_files, self._settings.rules)

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


def _versions(ruleset: RuleSet, names: Vocabulary) -> frozenset[str]:
    return frozenset(accepted(ruleset, names).dictionaries)


def _files(folder: Path) -> _Files:
    found = []
    for path in sorted(folder.rglob("*")):
        with suppress(OSError):  # one that goes meanwhile is seen as gone
            told = path.stat()
            if stat.S_ISREG(told.st_mode):
                found.append((str(path), told.st_size, told.st_mtime_ns))
    return tuple(found)


@asynccontextmanager
async def opened(
    settings: Settings,
    loaded: Decisions,
    *,
    clock: Callable[[], datetime] | None = None,
    own_writer: bool = False,
    keep: Keep = made_anew,
) -> AsyncIterator[Gateway]:
    """Open a gateway on its data folder, and close it again.

    Shape: `clock` answers the moment with its offset; the machine's where none is given. `keep` holds what the files
    were parsed to, for when they are read again.
    Errors: ConfigError, KeysError, JournalUnavailable: a gateway that can't do its work doesn't start.
    """
    now = clock or (lambda: datetime.now(UTC))
    keys = settings.data / KEYS
    make_folder(settings.data)
    make_folder(keys)
    signing = signing_keys(keys)
    credentials = Credentials(settings.data / CREDENTIALS)
    async with AsyncExitStack() as stack:
        journal = await stack.enter_async_context(Journal(settings.data / "journal.db"))
        connections = Connections(settings, stack, own_writer=own_writer)
        issuer = Issuer(
            public_url=settings.public_url, token_address=settings.token_address, keys=signing,
            credentials=credentials, claim_token_id=journal.claim_token_id, secret_basic=settings.client_secrets,
        )  # fmt: skip
        stack.callback(issuer.close)
        verifier = Verifier(
            [built_in(signing, settings.public_url)], credentials, realm=settings.public_url,
            token_address=settings.token_address,
        )  # fmt: skip
        files = Files(settings.data / FILES)
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
            issuer=issuer,
            verifier=verifier,
            paging=Paging(base64.urlsafe_b64encode(kept_secret(keys / "paging.key"))),
            order=Order(),
            unchanged=Unchanged(),
            secret=kept_secret(keys / "hash.key"),
            clock=now,
            rereading=FilesAgain(settings, connections, keep, loaded),
            exports=exports,
        )


def addresses(settings: Settings, ruleset: RuleSet) -> dict[str, str]:
    """Address of each declared target: the configured one; a FHIR target without one is the embedded store.

    Errors: ConfigError for an address configured for a target that no rule file declares.
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
    return {**embedded, **given}


def kept_secret(path: Path) -> bytes:
    """Secret of 32 bytes in a file for the gateway alone, made at the first run."""
    if not path.exists():
        create_private(path, secrets.token_bytes(32))
    return path.read_bytes()
