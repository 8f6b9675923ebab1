"""The line that turns one pixel hit into its twin.

    request ─ parse ─ clean ─ consent ─ map ─ rules ─ stamp ─► Draft     admit(), before the browser is answered
    Draft ─ look-ups ─ verify ─ late rules ─ refusal? ─► the event       seal(), when the twin is sent

Everything here is pure and synchronous: time and chance arrive as arguments, look-ups as their results.
"""

from pixeltwin.mirror.admission import Admission, Decide, admit, admit_openbridge
from pixeltwin.mirror.draft import Draft, Twin, record_id_of
from pixeltwin.mirror.ingesting import Ingested, admit_ingest
from pixeltwin.mirror.policy import PixelPolicy, Policy, SourcePolicy
from pixeltwin.mirror.sealing import Known, Sealed, Unsent, seal, unverified, who_set

__all__ = [
    "Admission",
    "Decide",
    "Draft",
    "Ingested",
    "Known",
    "PixelPolicy",
    "Policy",
    "Sealed",
    "SourcePolicy",
    "Twin",
    "Unsent",
    "admit",
    "admit_ingest",
    "admit_openbridge",
    "record_id_of",
    "seal",
    "unverified",
    "who_set",
]
