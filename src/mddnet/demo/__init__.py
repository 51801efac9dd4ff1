"""A local web page that shows depth and defocus of a photo and applications of both maps."""

import os

# Gradio reads these when it is imported: no telemetry.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
