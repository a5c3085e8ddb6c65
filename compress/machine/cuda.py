"""The number of NVIDIA devices for this process, from the driver itself, so that no library needs to be loaded."""

import ctypes
import sys

DRIVER = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"


def cuda_devices() -> int:
    """Number of devices: 0 without a driver or a device, or if CUDA_VISIBLE_DEVICES hides them.

    It calls `cuInit` and `cuDeviceGetCount` of the CUDA Driver API, which return 0 for success.
    """
    try:
        driver = ctypes.CDLL(DRIVER)
    except OSError:
        return 0
    count = ctypes.c_int(0)
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return 0
    return count.value
