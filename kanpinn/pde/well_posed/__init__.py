"""What keeps a problem from having one solution, or a smooth one, found at a few points."""

from kanpinn.pde.well_posed.equations import check_equations as check_equations
from kanpinn.pde.well_posed.jumps import Jump as Jump
from kanpinn.pde.well_posed.jumps import jumps as jumps
from kanpinn.pde.well_posed.places import check_places as check_places
from kanpinn.pde.well_posed.prescribed import Prescribed as Prescribed
from kanpinn.pde.well_posed.prescribed import prescribed as prescribed
from kanpinn.pde.well_posed.uniqueness import check_uniqueness as check_uniqueness
