"""The parts of a gateway put together from its settings: the one place that knows them all.

Source: `architecture.md` of the design: what a layer needs from its own layer is passed in here.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from gateway import documents, fhir, mapping, rules, specs, tabular, upstream
from gateway.config import ConfigError, Settings
from gateway.hl7v2 import dictionary
from gateway.identity import Credentials, Issuer, Verifier, built_in, signing_keys
from gateway.identity.private_file import create_private, make_folder
from gateway.interactions.files import Files
from gateway.interactions.gateway import Documents, Gateway, Target
from gateway.interactions.order import Order
from gateway.interactions.paging import Paging
from gateway.interactions.unchanged import Unchanged
from gateway.journal import Journal
from gateway.mapping import CodeMap, Maps, codes, rows
from gateway.mapping.rows import RowMap
from gateway.rules import RuleSet, Vocabulary
from gateway.rules.accepting import between
from gateway.source import Diagnostic, Keep, in_order, made_anew
from gateway.specs import FhirTables
from gateway.tabular import Layout

KEYS, CREDENTIALS, CLIENTS, FILES = "keys", "credentials", "clients", "files"
EMBEDDED = "embedded"


class NotLoaded(Exception):  # noqa: N818 - says what happened; the diagnostics say what is wrong
    """Rules or maps with an error; nothing is served from them."""

    def __init__(self, diagnostics: tuple[Diagnostic, ...]) -> None:
        """Keep what to show."""
        super().__init__(f"{len(diagnostics)} diagnostics")
        self.diagnostics = diagnostics


@dataclass(frozen=True, slots=True)
class Decisions:
    """What decides and converts, loaded from `rules/` and `specs/`."""

    rules: RuleSet
    maps: Maps
    row_maps: Mapping[str, RowMap]
    tables: FhirTables
    elements: fhir.Elements
    warnings: tuple[Diagnostic, ...]


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


def decisions(rules_folder: Path, specs_folder: Path, keep: Keep = made_anew) -> Decisions:
    """Load rules and maps.

    Shape: `keep` holds what their files were parsed to.
    Errors: NotLoaded with every diagnostic; SpecsError.
    """
    names = vocabulary(specs_folder)
    read = rules.load(rules_folder, names, keep=keep)
    if read.rules is None:
        raise NotLoaded(read.diagnostics)
    mapped = mapping.load(specs_folder, accepted(read.rules, names), keep)
    marks = fhir.Marks(names.tables.systems.marks)
    by_row = rows.load(names.layouts, names.elements, codes.load(specs_folder / codes.FOLDER), marks, keep)
    found = in_order((*read.diagnostics, *mapped.diagnostics, *by_row.diagnostics))
    if mapped.maps is None or len(by_row.maps) < len(names.layouts):
        raise NotLoaded(found)
    return Decisions(read.rules, mapped.maps, by_row.maps, names.tables, names.elements, found)


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
    samples = documents.read_samples(settings.rules, loaded.rules.domains)
    return documents.openapi_text(loaded.rules, published(settings), loaded.tables, samples)


@asynccontextmanager
async def opened(
    settings: Settings, loaded: Decisions, *, clock: Callable[[], datetime] | None = None, own_writer: bool = False
) -> AsyncIterator[Gateway]:
    """Open a gateway on its data folder, and close it again.

    Shape: `clock` answers the moment with its offset; the machine's where none is given.
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
        targets: dict[str, Target] = {}
        for name, address in addresses(settings, loaded.rules).items():
            target = upstream.connect(name, address, data=settings.data, own_writer=own_writer)
            stack.push_async_callback(target.aclose)
            targets[name] = target
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
        yield Gateway(
            settings=settings,
            rules=loaded.rules,
            maps=loaded.maps,
            row_maps=loaded.row_maps,
            tables=loaded.tables,
            elements=loaded.elements,
            merging=fhir.Merging(loaded.elements),
            versions=dictionary.versions(settings.specs),
            documents=_documents(settings, loaded, now),
            journal=journal,
            files=files,
            targets=targets,
            issuer=issuer,
            verifier=verifier,
            paging=Paging(base64.urlsafe_b64encode(kept_secret(keys / "paging.key"))),
            order=Order(),
            unchanged=Unchanged(),
            secret=kept_secret(keys / "hash.key"),
            clock=now,
        )


def addresses(settings: Settings, ruleset: RuleSet) -> dict[str, str]:
    """Address of each declared target: the configured one; a FHIR target without one is the embedded store.

    Errors: ConfigError for an address configured for a target that no rule file declares.
    """
    declared = ruleset.registry.targets
    strangers = sorted(set(settings.targets) - set(declared))
    if strangers:
        raise ConfigError(
            f"setting `targets` names {', '.join(strangers)}, which no rule file declares; declared targets: "
            f"{', '.join(sorted(declared)) or 'none'}"
        )
    embedded = {name: EMBEDDED for name, target in declared.items() if target.takes == "Fhir"}
    given = {
        name: f"hl7v2+{address}" if declared[name].takes == "Hl7v2" and address.startswith("http") else address
        for name, address in settings.targets.items()
    }
    return {**embedded, **given}


def _documents(settings: Settings, loaded: Decisions, clock: Callable[[], datetime]) -> Documents:
    statement = documents.capability_statement(
        loaded.rules, published(settings), loaded.tables, date=clock().date().isoformat()
    )
    return Documents(openapi_text(loaded, settings).encode(), fhir.dump(statement))


def kept_secret(path: Path) -> bytes:
    """Secret of 32 bytes in a file for the gateway alone, made at the first run."""
    if not path.exists():
        create_private(path, secrets.token_bytes(32))
    return path.read_bytes()
