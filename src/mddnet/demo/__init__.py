"""A local page that shows depth and defocus of a photo, and what the two maps are good for."""

import os

# Read by Gradio when it is imported, so it must be there before: the page tells nobody that it runs.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
