"""Compressions of updates. One file per method, one line here."""

from medfed.compression.float16 import Float16
from medfed.compression.int8 import Int8
from medfed.compression.top_k import TopK
from medfed.compression.uncompressed import Uncompressed

COMPRESSIONS = {"none": Uncompressed, "float16": Float16, "int8": Int8, "top_k": TopK}
