"""What to look for in a file, as it is sent to scanning processes."""

import dataclasses
import json

from h5lightning.storage.scanning.scan_request import ScanRequest


def test_a_request_survives_json():
    request = ScanRequest(("x",), ("@a",), 5, "/d", ("s",), ("c",), ("/b.h5", "s"), indexes=("i",))
    plain = json.loads(json.dumps({**dataclasses.asdict(request), "locking": True}))
    assert ScanRequest.from_plain(plain) == request
    assert ScanRequest.from_plain({"paths": None}) == ScanRequest(None)
