"""Makes ``data: h5`` known to every Hydra application in this environment.

The wheel holds a copy of this file as the package ``hydra_plugins.h5lightning``, which Hydra imports when it
starts. Keep it this small: in an editable install the copy is not updated.
"""

from h5lightning.config import register

register()
