"""What the author of the engine runs: `pytest check_hum.py`."""

from smartvoice_hum import Hum

from smartvoice.conformance import EngineConformance


class TestHum(EngineConformance):
    factory = "smartvoice_hum:make"

    def engine(self) -> Hum:
        return Hum()
