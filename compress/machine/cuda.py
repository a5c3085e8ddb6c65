"""NVIDIA devices that the driver gives this process, asked of the driver itself: no library needs to be loaded."""

import ctypes
import sys

DRIVER = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"


def cuda_devices() -> int:
    """How many there are: 0 without a driver, without a device, or where CUDA_VISIBLE_DEVICES hides them.

    `cuInit` and `cuDeviceGetCount` of the CUDA Driver API; both give 0 for success.
    """
    try:
        driver = ctypes.CDLL(DRIVER)
    except OSError:
        return 0
    count = ctypes.c_int(0)
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return 0
    return count.value
