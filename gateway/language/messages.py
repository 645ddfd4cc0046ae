"""Every message to authors of rules and expressions, each under its stable code.

A code is never given to another message; a message that goes leaves its number unused. Words in braces are filled
with the author's text. The cases in `tests/conformance/rules/` hold every one of them.
"""

from __future__ import annotations

from gateway.source import Catalogue

REGISTRY = Catalogue()
_message = REGISTRY.add

# --- reading -------------------------------------------------------------------------------------------------------
UNEXPECTED = _message("R001", "`{word}` can't stand here")
UNFINISHED = _message("R002", "the statement ends too early")
NO_QUOTE = _message("R003", "a text without its closing quote", 'end it with `"` on the same line')
STRANGE = _message("R004", "the character `{word}` has no meaning here")
MIXED = _message("R005", "`and` and `or` are mixed", "put parentheses round one of them")
OR_AFTER_IN = _message(
    "R006",
    "`or` after `in` stands on the same line",
    "start a new line with `or`, or separate the values by commas",
)
NO_VERSION = _message("R008", "a rule file starts with the language that it is written in", "write `language 1` first")
WRONG_VERSION = _message("R009", "language `{word}` is not known", "this gateway reads `language 1`")

# --- words and paths -----------------------------------------------------------------------------------------------
UNKNOWN_WORD = _message("R010", "unknown name `{word}`")
UNKNOWN_SEGMENT = _message("R011", "unknown segment `{word}` in HL7 {version}")
UNKNOWN_ELEMENT = _message("R012", "unknown element `{word}`")
UNKNOWN_FIELD = _message("R013", "unknown field `{word}` in HL7 {version}")
UNKNOWN_COMPONENT = _message("R014", "unknown component `{word}` in HL7 {version}")
LABEL = _message("R015", "`{word}` is not called `{label}`")
NOT_READABLE = _message("R016", "`{word}` can't be read here")
UNDECLARED = _message("R017", "{kind} `{word}` is not declared")
UNKNOWN_CODE = _message("R018", "`{word}` is not a code of `{path}`")
NEEDS_FIELD = _message("R019", "`{word}` names a segment, not a field", "name a field of it, such as `{word}-1`")

# --- types ---------------------------------------------------------------------------------------------------------
MISMATCH = _message("R020", "`{left}` is {left_kind} and can't be compared with `{right}`, {right_kind}")
REPEATS = _message("R021", "`{word}` may occur more than once, so comparing it has no one meaning")
NO_LIST = _message("R022", "`{word}` is one value, not a list", "`in` takes values after commas, a set or a list")
NO_CONDITION = _message("R023", "`{word}` is no condition", 'compare it: `{word} is "..."`, or `{word} is present`')
NO_ORDER = _message("R024", "`{word}` is {kind} and has no order", "numbers, dates and instants have one")
QUOTED = _message("R025", "`{word}` is a declared name, not a text", "write `{word}` without quotes")
UNQUOTED = _message("R026", "`{word}` is compared with a text", 'write `"{word}"` in quotes')
COMPLEX = _message("R027", "`{word}` holds several elements and can't be compared as a whole")
CALLER = _message("R028", "`{phrase}` speaks of the caller, not of `{word}`", "write `caller {phrase} ...`")
ALWAYS = _message("R029", "`{word}` is never absent", "leave the condition out")
UNGUARDED = _message("R030", "`{word}` may be absent")
UNCHECKED_ABSENCE = _message(
    "R031",
    "where `{word}` is absent this requirement doesn't apply",
    "to demand it, write `{word} is present and ...`",
    "warning",
)
CYCLE = _message("R032", "condition `{word}` refers to itself")
EMPTY_TEXT = _message("R033", "no value is ever the empty text", "write `is absent`")

# --- statements ----------------------------------------------------------------------------------------------------
TWICE = _message("R040", "`{word}` stands twice in this statement", "keep one of them")
DUPLICATE = _message("R041", "{kind} `{word}` is declared twice", "the first stands at {first}")
MISSING = _message("R042", "{kind} `{word}` says nothing of `{clause}`")
NO_DOMAIN = _message("R043", "`{word}` stands in a file without a domain", "begin the file with `domain NAME`")
SECOND_DOMAIN = _message("R044", "a second domain in one file", "give each domain a file of its own")
NOT_ONE_OF = _message("R045", "`{word}` is no {kind}")
BAD_DAY = _message("R046", "`{word}` is no day", "write it as `2027-03-31`")
BAD_DURATION = _message("R047", "`{word}` is no length of time", "write it as `7 days` or `72 hours`")
NO_SUCH_VERSION = _message("R048", "HL7 has no version `{word}`")
ORDER_OF_TWO = _message("R049", "`{first}` is after `{last}`", "put the earlier one first")
NO_SUCH_TYPE = _message("R050", "`{word}` is no message type of HL7 {version}")
NOT_ACCEPTED = _message("R051", "domain `{domain}` does not accept `{word}`")
MIXED_SET = _message("R052", "the members of set `{word}` are of different kinds", "make a set of each kind")
NOTHING_READ = _message("R053", "`{word}` applies to nothing that is read", "say `on Hl7v2`, or leave it out")
MIXED_ACTIONS = _message("R054", "ingest and queries in one rule", "write a rule of its own for each")
NEEDS_TYPES = _message("R055", "`to {word}` names no resource type", "name them: `to {word} Patient, Encounter`")
NO_TYPES = _message("R056", "`to ingest` takes no resource types", "say `on Hl7v2 ADT^A01` for message types")
UNKNOWN_RESOURCE = _message("R057", "`{word}` is no resource type of FHIR R4")
NO_ROWS = _message("R058", "the rule doesn't say which rows of `{word}` it shows")
ROWS_TWICE = _message("R059", "rows of `{word}` are spoken of twice", "join the two conditions with `or`")
NOT_GRANTED = _message("R060", "`{word}` is not among the types of this rule", "the rule grants {types}")
UNKNOWN_PARAMETER = _message("R061", "no type of this rule has the search parameter `{word}`")
NEVER_ASKED = _message("R062", "no search of `{word}` can meet `asking`", "it has none of the alternatives whole")
HIDDEN_PARAMETER = _message("R063", "the parameter `{word}` searches `{path}`, which this rule hides")
HIDES_NEEDED = _message("R064", "`{word}` can't be hidden", "hide an element below a granted type")
QUERY_CLAUSE = _message("R065", "`{word}` speaks of queries, and this rule is about ingest", "leave it out")
REPEATED_PART = _message("R066", "organisation `{word}` is part of itself")
TAKES = _message("R067", "target `{word}` takes {takes}, which this {kind} does not have")
NO_FAILURE = _message(
    "R068",
    "nothing says what happens when `{word}` is down",
    "add `on failure reject` or `on failure queue for 72 hours`",
)
ROUTE_GAP = _message(
    "R069",
    "domain `{domain}` accepts `{word}` and has no route for it",
    "such messages are refused; add a route",
    "warning",
)
SERVED_TWICE = _message("R070", "`{word}` is served by two targets, `{first}` and `{second}`")
NOT_SERVED = _message(
    "R071", "no domain that grants `{word}` says what it `serves`", "add `serves TARGET` to the domain"
)
BAD_TEXT = _message(
    "R072", "the message holds `{word}`, which engines show wrongly", "write it without quotes, backslashes and `|^~&`"
)
BAD_HOLE = _message(
    "R073", "`{word}` in the message can't be read", "write a path between braces, such as `{{PID-3.1}}`"
)
NOT_LOOPED = _message(
    "R074", "`for each` goes over the repetitions of a field, and `{word}` is none", "name a field: `PID-3`"
)
SHADOWS = _message("R075", "`{word}` already means something", "give the loop variable another name")
SOON = _message("R077", "{kind} `{word}` ends on {day}", "renew it, or rules that need it stop", "warning")
NO_TARGET_FIRST = _message("R078", "`on failure` stands before any target", "name the target first: `to NAME`")
UNREADABLE_FILE = _message("R079", "the file is not UTF-8 text", "save it as UTF-8")
NO_FILES = _message("R080", "no rule file stands in `{word}`", "rule files end in `.rules`")
EITHER_ROWS = _message("R081", "`all rows` covers no type", "every granted type has a `rows` line of its own")
UNKNOWN_OVERLAY = _message("R082", "no maps called `{word}` can be laid over the others")
TWO_WAYS = _message(
    "R083",
    "`{word}` is converted in two ways, since {other} takes it too",
    "name the same overlays in both, or keep their versions apart",
)
HIDES_WRITTEN = _message(
    "R090",
    "this rule hides an element of `{word}` and lets it be updated",
    "who does not see all of a resource can't replace it: hide and update in rules of their own",
)
WRITE_CLAUSE = _message("R091", "`{word}` speaks of searches, and this rule is about writes alone", "leave it out")
UNKNOWN_COLUMN = _message("R095", "layout `{layout}` has no column for `{word}`")
UNKNOWN_LAYOUT = _message("R096", "there is no layout `{word}`", "layouts stand in specs/csv/")
LAYOUTS_OVERLAP = _message(
    "R097",
    "a file could be of layout `{word}` as well as of `{other}`, which the domain accepts too",
    "layouts of one domain are told apart by their header lines: each needs columns that the other doesn't know",
)

# --- limits --------------------------------------------------------------------------------------------------------
LONG_STATEMENT = _message(
    "R100", "the statement is longer than {most} characters", "many values belong in a `list` or `codes`"
)
LONG_WORD = _message("R101", "a word is longer than {most} characters")
TOO_DEEP = _message("R102", "the condition is nested more than {most} deep", "name parts of it with `condition`")
DECEIVING = _message(
    "R103", "the character `{word}` is not shown, and can make a rule read as what it is not", "remove it"
)
LONG_FILE = _message("R104", "the file is longer than {most} lines", "give each domain a file of its own")
LARGE_FILE = _message("R106", "the file is larger than {most} bytes", "give each domain a file of its own")
MANY_FAULTS = _message("R105", "there are more than {most} faults in this file", "mend these first")

TOO_MANY = _message(
    "R107", "the condition is made of more than {most} others", "many values belong in a `set`, a `list` or `codes`"
)

# --- texts, times, codes, repetitions ------------------------------------------------------------------------------
BAD_PATTERN = _message("R110", "`{word}` is no regular expression")
NO_TEXT = _message("R111", "`{word}` is {kind}, and `{phrase}` is asked of texts")
NO_TIME = _message("R112", "`{word}` is {kind} and has no place in time", "dates and instants have one")
TOO_FINE = _message("R113", "`{word}` is a date, and `{length}` is finer than a day", "write it in days")
AGE_UNIT = _message("R114", "`{word}` is no age", "ages are in years, months, weeks or days")
NO_PATIENT = _message(
    "R115", "`{word}` is no patient and no birth date", "write `patient has age ...`, or name a birth date"
)
NO_CODES = _message(
    "R116", "`{word}` holds no codings", "`has code` is asked of elements of type CodeableConcept and Coding"
)
NO_UNIT = _message("R117", "`{word}` is a quantity, and `{right}` says no unit", 'write `{right} "mg"`')
OTHER_FORM = _message("R118", "`{word}` can't stand in list `{list}`, which holds {form}")
NOTHING_REPEATS = _message("R119", "`{word}` is one value, so nothing of it repeats", "ask about `{word}` itself")
NO_REPETITION = _message("R120", "`{word}` is a part of a repetition", "go over the field: `{field}`")
NOT_JUDGED = _message(
    "R121",
    "`{word}` can't be judged as a whole",
    "write `resource conforms` in a statement that reads resources, `message conforms` in one `on Hl7v2`",
)
NOTHING_BY_KIND = _message(
    "R124",
    "`except` speaks of kinds of departures from the standard, and `{word}` does not tell them apart",
    "`require message conforms` alone does, without `for each` and without another condition",
)
NO_STANDARD = _message("R125", "`{word}` is no standard that resources conform to")
NO_MODEL = _message(
    "R126", "`{word}` has nothing to judge `{type}` by", "write `resource conforms`, which judges every type of R4"
)
NO_SYSTEM = _message("R127", "`{word}` is no code system that FHIR R4 or the declared `codes` name, but nearly one")
NO_CODE_OF = _message(
    "R128",
    "`{word}` is no code of `{system}` that FHIR R4 names, so this may hold of nothing",
    severity="warning",
)
NO_CLOCK = _message("R122", "`{word}` needs the day, which is not known here")
TABLE_CODE = _message(
    "R123", "`{word}` is not in table {table}, which `{path}` takes its codes from", severity="warning"
)
