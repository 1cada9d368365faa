"""What is tried: cheap before dear, and later stages only ask for what they need when their turn comes."""

from itertools import islice

from calibration.quantization.recipes import DEFAULT, QuantizationRecipe, stages


class Known:
    """A search that answers, and remembers what it was asked."""

    def __init__(self, products: int, attention: tuple[str, ...] = ("a",)) -> None:
        self.products, self.attention, self.asked = products, attention, []

    def attention_products(self) -> tuple[str, ...]:
        return self.attention

    def best(self) -> QuantizationRecipe:
        return QuantizationRecipe("best", float_products=("kept", "p1"))

    def worst_products(self) -> list[str]:
        self.asked.append("worst")
        return [f"p{number}" for number in range(self.products)]


def test_the_default_comes_alone_and_first():
    assert next(stages(Known(40))) == (DEFAULT,)


def test_products_are_ranked_only_when_everything_cheaper_failed():
    known = Known(40)
    cheap = list(islice(stages(known), 3))
    assert known.asked == []
    assert [recipe.name for stage in cheap[1:] for recipe in stage] == [
        "smooth 0.5",
        "smooth off",
        "float attention",
        "full bias correction",
        "more samples",
    ]


def test_products_in_float_double_up_to_half_of_them():
    escalation = list(stages(Known(36)))[3:]
    assert [len(set(stage[0].float_products) - {"kept", "p1"}) for stage in escalation] == [1, 1, 3, 7, 15]
    assert escalation[2][0].float_products == ("kept", "p1", "p0", "p2", "p3")
    assert {len(stage) for stage in escalation} == {1}


def test_a_model_without_attention_products_has_no_recipe_for_them():
    names = [recipe.name for stage in stages(Known(2, attention=())) for recipe in stage]
    assert "float attention" not in names
    assert names[-1] == "best, 1 in float"


def test_every_option_is_text_for_the_lineage():
    assert QuantizationRecipe("x", smooth_quant=None, float_products=("a", "b")).as_options() == {
        "recipe": "x",
        "balance": "yes",
        "smooth_quant": "off",
        "bias_correction": "fast",
        "float_products": "a b",
    }
