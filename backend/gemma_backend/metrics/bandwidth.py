"""Memory bandwidth of devices, as their makers state it."""

from __future__ import annotations

# Bytes a second by the name that the driver gives. Sources: NVIDIA's data sheets and product pages of each device
# (H100, H200, B200, A100, A10, A40, L4, L40, L40S, T4, RTX PRO 6000 Blackwell, RTX 6000 Ada, RTX A6000), the GeForce
# specification tables, and the DGX Spark user guide (hardware overview) for GB10. Laptop chips carry other names.
_GB = 1e9
BANDWIDTH = {
    "B200": 8_000 * _GB,
    "H200": 4_800 * _GB,
    "H200 NVL": 4_800 * _GB,
    "H100 80GB HBM3": 3_350 * _GB,
    "H100 NVL": 3_900 * _GB,
    "H100 PCIe": 2_000 * _GB,
    "A100-SXM4-80GB": 2_039 * _GB,
    "A100 80GB PCIe": 1_935 * _GB,
    "A100-SXM4-40GB": 1_555 * _GB,
    "A100-PCIE-40GB": 1_555 * _GB,
    "A40": 696 * _GB,
    "A10": 600 * _GB,
    "L40S": 864 * _GB,
    "L40": 864 * _GB,
    "L4": 300 * _GB,
    "Tesla T4": 320 * _GB,
    "RTX PRO 6000 Blackwell Workstation Edition": 1_792 * _GB,
    "RTX 6000 Ada Generation": 960 * _GB,
    "RTX A6000": 768 * _GB,
    "GeForce RTX 5090": 1_792 * _GB,
    "GeForce RTX 5080": 960 * _GB,
    "GeForce RTX 5070 Ti": 896 * _GB,
    "GeForce RTX 5070": 672 * _GB,
    "GeForce RTX 4090": 1_008 * _GB,
    "GeForce RTX 4080 SUPER": 736 * _GB,
    "GeForce RTX 4080": 717 * _GB,
    "GeForce RTX 4070 Ti": 504 * _GB,
    "GeForce RTX 4070": 504 * _GB,
    "GeForce RTX 3090 Ti": 1_008 * _GB,
    "GeForce RTX 3090": 936 * _GB,
    "GB10": 273 * _GB,
}


def bandwidth_of(name: str) -> float | None:
    """Return the stated bytes a second of the device that the driver calls `name`, None where it is not listed.

    Only a whole name counts: an `RTX 4090 Laptop GPU` is another chip than an `RTX 4090`.
    """
    return BANDWIDTH.get(name.strip().removeprefix("NVIDIA "))
