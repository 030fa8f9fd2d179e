"""All kinds of bad input, by name."""

from hypothesis import strategies as st

from tests.bad.case import Case
from tests.bad.checkpoints import CHECKPOINTS
from tests.bad.data_files import DATA
from tests.bad.names import STORED_NAMES
from tests.bad.overrides import OVERRIDES
from tests.bad.places import PATHS
from tests.bad.spools import SPOOLS
from tests.bad.yamls import YAMLS

KINDS: dict[str, st.SearchStrategy[Case]] = {
    "overrides": OVERRIDES,
    "yaml": YAMLS,
    "data": DATA,
    "spool": SPOOLS,
    "checkpoints": CHECKPOINTS,
    "paths": PATHS,
    "names": STORED_NAMES,
}
