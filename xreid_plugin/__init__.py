"""X-ReID, video-based visible-infrared person re-identification, as a plugin of the fast-reid toolbox.

Importing this package makes the host usable on today's torch and registers everything that the plugin adds to it.
"""

# isort: off
# The host comes first: everything below imports it and relies on its fixes.
from xreid_plugin import host

host.patch()

# Each of these imports registers something; nothing else is taken from them here.
import xreid_plugin.data.datasets.bupt_campus  # DATASET: BUPTCampus
import xreid_plugin.data.datasets.hitsz_vcm  # DATASET: HITSZVCM
import xreid_plugin.data.samplers  # SAMPLER: CrossModalityIdentitySampler, RandomTrackletSampler
import xreid_plugin.losses.build  # LOSS: CrossEntropyLoss, TripletLoss, CPCL, CMCL
import xreid_plugin.modeling.clip_vit  # BACKBONE: build_clip_vision_backbone
import xreid_plugin.modeling.frame_baseline  # META_ARCH: FrameBaseline
import xreid_plugin.modeling.heads  # HEADS: XReIDHead
import xreid_plugin.modeling.xreid  # META_ARCH: XReID

# The host's own programs; last, as it depends on what is registered.
from xreid_plugin import host_programs

host_programs.join()

# Last: by it tools know that all is imported.
from xreid_plugin.version import __version__ as __version__
# isort: on
