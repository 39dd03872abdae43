"""Whether a file's data is good: unit, range, time, calibration by gravity at rest, and when the device was worn.

    file = read_device_file("left.cwa")
    found = quality(file)             every figure, frozen; json.dumps(asdict(found)) works
    print(*lines(found), sep="\\n")    what they mean, a line a finding
    as_html(found)                    the same with pictures, as HTML
    calibrated(file, found.calibration)

`still` finds windows of rest, by which `scale` judges the unit and `calibration` the sensor; `timing` and `wearing`
look at the rest, `figures` puts all together, `findings` and `page` (with its `pictures`) tell it.
"""

from mmvq_bridge.quality.calibration import Calibration, calibrate, calibrated
from mmvq_bridge.quality.figures import Quality, quality
from mmvq_bridge.quality.findings import judge, lines
from mmvq_bridge.quality.page import as_html

__all__ = ["Calibration", "Quality", "as_html", "calibrate", "calibrated", "judge", "lines", "quality"]
