"""What invented documents say: labels, sentences with the value in them, and questions in other words.

A field is asked of a document that states it, where its value is the answer, and of one that does not, where there
is none. No two fields of a kind mean the same, so that a question has no second answer.
"""

from benchmarks.experiments.doubt.kinds.agreements import CONTRACT, POLICY
from benchmarks.experiments.doubt.kinds.field import Field
from benchmarks.experiments.doubt.kinds.instructions import MANUAL, RECIPE
from benchmarks.experiments.doubt.kinds.messages import EMAIL, LETTER, MINUTES
from benchmarks.experiments.doubt.kinds.records import DATASHEET, FAQ, LOG

# In this order documents are drawn.
KINDS: dict[str, tuple[Field, ...]] = {
    "contract": CONTRACT,
    "policy": POLICY,
    "manual": MANUAL,
    "minutes": MINUTES,
    "email": EMAIL,
    "datasheet": DATASHEET,
    "recipe": RECIPE,
    "faq": FAQ,
    "log": LOG,
    "letter": LETTER,
}
