"""Images from a hosted service: paid, kept, edited by masks, and told what changed outside of them."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from loopback_clients import described
from PIL import Image

from xaiaug.calls import Calls, MemoryLedger, Prices
from xaiaug.errors import BudgetSpentError, ConfigError, UnknownPriceError
from xaiaug.interfaces import Context
from xaiaug.plugins.synthesizers import _image_tokens
from xaiaug.plugins.synthesizers.openai_images import OpenAIImagesSynthesizer
from xaiaug.records import UNKNOWN_USAGE, Failure, SynthesisRequest, SyntheticImage
from xaiaug.report import Report
from xaiaug.report.schema_cases import Images
from xaiaug.report.schema_report import Data
from xaiaug.results.build import summarise_edits
from xaiaug.results.notes import notes
from xaiaug.testing import Error, Loopback, Raw, Reply
from xaiaug.testing.fake_services.openai_images import read_multipart

pytest.importorskip("openai")

MODEL, SIZE = "an-image-model", 64
PRICES = {MODEL: {"input_usd_per_mtok": 5, "output_usd_per_mtok": 40}}
Point = Callable[[Loopback], None]


def create(**options: object) -> OpenAIImagesSynthesizer:
    usual = {"model": MODEL, "size": f"{SIZE}x{SIZE}", "output_tokens": 100, "budget_usd": 1.0, "prices": PRICES}
    return OpenAIImagesSynthesizer(**{**usual, **options})


def photo() -> Image.Image:
    """A red disc on grass that is not of one colour."""
    y, x = np.mgrid[:96, :128]
    pixels = np.stack([60 + x // 2, 140 + y // 2, 90 + 0 * x], axis=-1).astype(np.uint8)
    pixels[(y - 48) ** 2 + (x - 64) ** 2 < 500] = (200, 40, 40)
    return Image.fromarray(pixels)


def request(prompt: str = "a photo of a cat", *, source: Image.Image | None = None, seed: int = 0) -> SynthesisRequest:
    return SynthesisRequest(f"case-{seed}", 0, prompt, "cat", seed, source=source)


def make(synthesizer: OpenAIImagesSynthesizer, *requests: SynthesisRequest) -> SyntheticImage | Failure:
    (made,) = synthesizer.synthesize(requests or [request()])
    return made


def spent(synthesizer: OpenAIImagesSynthesizer) -> float:
    return synthesizer._paid.summary()["settled_usd"]


def test_an_image_is_paid_once_and_kept(at: Point) -> None:
    with Loopback(prices=(5, 40)) as server:
        at(server)
        paid = Calls(MemoryLedger(), budget_usd=1.0, prices=Prices(PRICES))
        images = []
        for _ in range(2):
            synthesizer = create(style="on a phone")
            synthesizer.prepare(Context(paid=paid))
            images.append(make(synthesizer))
        assert [request.body for request in server.requests] == [
            {
                "model": MODEL,
                "prompt": "a photo of a cat, on a phone",
                "size": "64x64",
                "quality": "medium",
                "output_format": "png",
                "n": 1,
            }
        ]
        assert images[0].image.size == (SIZE, SIZE)
        assert images[0].image.tobytes() == images[1].image.tobytes()
        assert paid.summary()["settled_usd"] == pytest.approx(float(server.bill.usd))
        assert not paid.summary()["overruns"]


def test_the_description_of_the_service_allows_what_is_sent(at: Point) -> None:
    with Loopback(prices=(5, 40), descriptions=described()) as server:
        at(server)
        assert isinstance(make(create()), SyntheticImage)
        for edit in ("whole", "attended", "hot-region"):
            assert isinstance(make(create(edit=edit), request(source=photo())), SyntheticImage), edit
        assert server.violations == []
        assert [len(request.pictures) for request in server.requests] == [0, 1, 2, 2]


def test_an_edit_by_a_mask_changes_nothing_outside_of_it(at: Point) -> None:
    with Loopback(prices=(5, 40)) as server:
        at(server)
        source = photo()
        made = make(create(edit="attended"), request(source=source))
        mask = np.asarray(server.requests[0].body["mask"].image.getchannel("A")) == 0
        outside = ~np.asarray(Image.fromarray(mask).resize(source.size, Image.Resampling.NEAREST))
        outside[48, 64] = True
        before, after = np.asarray(source), np.asarray(made.image)
        assert made.image.size == source.size
        assert (before[outside & _eroded(outside)] == after[outside & _eroded(outside)]).all()
        assert (before != after).any(axis=2).mean() > 0.3
        assert made.details["changed_outside"] == 0.0
        assert 0.3 < made.details["repainted"] < 1


def _eroded(mask: np.ndarray) -> np.ndarray:
    """Without pixels beside the mask's edge, whose place depends on rounding between the two sizes."""
    from scipy.ndimage import binary_erosion

    return binary_erosion(mask, iterations=2)


def test_what_a_service_changes_outside_the_mask_is_told_and_put_back(at: Point) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (SIZE, SIZE, 3), dtype=np.uint8))
    with Loopback(Reply(image=noise), prices=(5, 40)) as server:
        at(server)
        source = photo()
        kept = make(create(edit="attended"), request(source=source))
        returned = make(create(edit="attended", keep_outside=False), request(source=source))
    assert kept.details["changed_outside"] == returned.details["changed_outside"] > 0.9
    assert (kept.details["kept_outside"], returned.details["kept_outside"]) == (True, False)
    assert kept.image.getpixel((64, 48)) == source.getpixel((64, 48)), "the subject"
    assert returned.image.tobytes() == noise.resize(source.size, Image.Resampling.LANCZOS).tobytes()


def test_without_the_image_of_the_case_there_is_nothing_to_edit(at: Point) -> None:
    with Loopback() as server:
        at(server)
        synthesizer = create(edit="whole")
        assert (synthesizer.needs, create().needs) == ({"image"}, frozenset())
        assert make(synthesizer).kind == "no-source"
        assert not server.requests


@pytest.mark.parametrize(
    ("step", "kind"),
    [
        (Reply.refusal("Your request was rejected by the safety system."), "refusal"),
        (Error(400, "Billing hard limit reached? no: size is wrong"), "call failed"),
        (Raw(json.dumps({"data": [{"url": "http://127.0.0.1:1/image.png"}]}).encode()), "no-image"),
        (Raw(json.dumps({"data": []}).encode()), "no-image"),
        (Raw(json.dumps({"data": [{"b64_json": base64.b64encode(b"GIF89a...").decode()}]}).encode()), "no-image"),
        (Raw(b"<html>Bad gateway</html>"), "call failed"),
    ],
)
def test_an_answer_without_an_image_is_a_failure_of_that_image(at: Point, step: object, kind: str) -> None:
    step = Error(400, "size is wrong") if isinstance(step, Error) else step
    with Loopback(step, prices=(5, 40)) as server:
        at(server)
        assert make(create()).kind == kind
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("body", "kind", "requests"),
    [
        ({"error": {"code": "moderation_blocked", "message": "rejected by the safety system"}}, "refusal", 1),
        ({"data": None, "error": {"code": 400, "message": "size is wrong"}}, "call failed", 1),
        ({"data": [{"b64_json": None, "content_filter_results": {"hate": {"filtered": True}}}]}, "refusal", 1),
    ],
)
def test_an_error_in_200_is_no_answer_and_what_a_filter_keeps_back_is_a_refusal(
    at: Point, body: dict, kind: str, requests: int
) -> None:
    with Loopback(Raw(json.dumps(body).encode())) as server:
        at(server)
        synthesizer = create()
        assert make(synthesizer).kind == kind and len(server.requests) == requests
        assert (spent(synthesizer) == 0) and synthesizer._paid.summary()["calls"] == (
            "data" in body and kind == "refusal"
        )


def test_what_failed_for_a_while_is_asked_again(at: Point) -> None:
    down = Raw(json.dumps({"error": {"code": 502, "message": "upstream"}}).encode())
    with Loopback([down, Reply(image=photo())]) as server:
        at(server)
        assert isinstance(make(create()), SyntheticImage) and len(server.requests) == 2


def test_an_image_in_another_form_or_size_is_read_and_told(at: Point) -> None:
    clear = Image.new("RGBA", (32, 48), (255, 0, 0, 0))
    stream = io.BytesIO()
    clear.save(stream, "PNG")
    address = "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()
    for item in ({"url": address}, {"b64_json": address}):
        with Loopback(Raw(json.dumps({"data": [item]}).encode())) as server:
            at(server)
            made = make(create())
        assert made.image.getpixel((0, 0)) == (255, 255, 255), "what is transparent is white"
        assert made.image.size == (32, 48) and made.details["size_refused"] == [SIZE, SIZE]


def test_a_reply_without_usage_costs_its_maximum(at: Point) -> None:
    body = {"created": 1, "data": [{"b64_json": base64.b64encode(_png()).decode()}]}
    with Loopback(Raw(json.dumps(body).encode())) as server:
        at(server)
        synthesizer = create()
        assert isinstance(make(synthesizer), SyntheticImage)
    worst = _image_tokens.max_usage("a photo of a cat", 100, 0)
    told = synthesizer._paid.summary()
    assert told["unknown_usd"] == pytest.approx(Prices(PRICES).of(MODEL).cost(worst) / 1e12) and told["unreported"] == 1


def _png() -> bytes:
    from io import BytesIO

    stream = BytesIO()
    photo().save(stream, "PNG")
    return stream.getvalue()


def test_the_budget_covers_the_most_that_an_image_may_cost(at: Point) -> None:
    with Loopback(prices=(5, 40)) as server:
        at(server)
        synthesizer = create(budget_usd=0.006)
        with pytest.raises(BudgetSpentError, match="raise budget_usd"):
            for seed in range(20):
                make(synthesizer, request(seed=seed))
        assert 0 < server.bill.requests < 20
        assert float(server.bill.usd) <= 0.006


def test_models_whose_price_or_size_is_not_known_are_not_called(at: Point) -> None:
    with Loopback() as server:
        at(server)
        with pytest.raises(UnknownPriceError):
            make(create(model="dall-e-9", prices=None))
        with pytest.raises(ConfigError, match="set output_tokens"):
            make(create(output_tokens=None))
        with pytest.raises(ConfigError, match="gpt-image-1 makes 1024x1024"):
            make(create(model="gpt-image-1", output_tokens=None))
        assert not server.requests


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"size": "big"}, 'size must be such as "1024x1024"'),
        ({"edit": "sofa"}, "edit must be one of whole, attended, hot-region"),
        ({"output_format": "bmp"}, "output_format must be one of"),
        ({"masks": "/nowhere"}, "nowhere"),
        ({"base_url": "http://example.org/v1"}, "no host of a known provider"),
    ],
)
def test_wrong_settings_are_refused_before_anything_is_paid(wrong: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        create(**wrong).check()


def test_a_missing_key_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ConfigError, match="OPENAI_API_KEY"):
        create().check()


def test_an_address_from_the_environment_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    assert not OpenAIImagesSynthesizer().address_note
    monkeypatch.setenv("OPENAI_BASE_URL", "https://images.example.org/v1")
    assert "OPENAI_BASE_URL" in OpenAIImagesSynthesizer().address_note
    assert not OpenAIImagesSynthesizer(base_url="http://localhost:1/v1").address_note


def test_images_of_a_price_of_their_own_are_billed_by_it() -> None:
    price = Prices({"m": {**PRICES[MODEL], "input_image_usd_per_mtok": 10, "output_image_usd_per_mtok": 80}}).of("m")
    usage = {"input_tokens": 100, "input_image_tokens": 60, "output_tokens": 50, "output_image_tokens": 40}
    assert price.cost(usage) == (40 * 5 + 60 * 10 + 10 * 40 + 40 * 80) * 10**6
    assert Prices(PRICES).of(MODEL).cost(usage) == (100 * 5 + 50 * 40) * 10**6
    gpt = Prices().of("gpt-image-1.5")
    assert gpt.cost({"input_tokens": 0, "output_tokens": 10, "output_image_tokens": 10}) > gpt.cost(
        {"input_tokens": 0, "output_tokens": 10}
    )


counts = st.one_of(st.none(), st.booleans(), st.integers(-5, 10_000), st.floats(), st.text(max_size=3))
details = st.one_of(st.none(), st.dictionaries(st.sampled_from(["text_tokens", "image_tokens"]), counts), counts)
usages = st.one_of(
    counts,
    st.fixed_dictionaries(
        {},
        optional={
            "input_tokens": counts,
            "output_tokens": counts,
            "total_tokens": counts,
            "input_tokens_details": details,
            "output_tokens_details": details,
        },
    ),
)


@given(usages)
def test_a_usage_of_any_shape_is_whole_or_unknown(usage: object) -> None:
    read = _image_tokens.read_usage(usage)
    if read == UNKNOWN_USAGE:
        return
    assert all(type(count) is int and count >= 0 for count in read.values())
    assert read["input_tokens"] == usage["input_tokens"]
    assert read["output_tokens"] >= usage["output_tokens"]
    assert read["input_image_tokens"] <= read["input_tokens"]
    assert read["output_image_tokens"] <= read["output_tokens"]


def test_an_upload_that_is_no_form_is_rejected_as_the_service_would(at: Point) -> None:
    with pytest.raises(ValueError, match="multipart"):
        read_multipart("application/json", b"{}")
    with Loopback() as server:
        at(server)
        import openai

        client = openai.OpenAI(max_retries=0)
        mask = ("mask.png", _png(), "image/png")
        with pytest.raises(openai.BadRequestError, match="alpha"):
            client.images.edit(model="m", prompt="a cat", image=("photo.png", _png(), "image/png"), mask=mask)
        client.close()


@pytest.mark.parametrize("keep", [True, False])
def test_the_report_warns_where_a_service_repaints_what_masks_protect(at: Point, keep: bool) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (SIZE, SIZE, 3), dtype=np.uint8))
    with Loopback(Reply(image=noise), prices=(5, 40)) as server:
        at(server)
        made = make(create(edit="attended", keep_outside=keep), request(source=photo()))
    images = Images(**summarise_edits([made.details, {}, made.details]))
    assert images.changed_outside is not None and images.changed_outside > 0.9 and images.kept_outside is keep
    (note,) = [one.text for one in notes(Report(data=Data(labels=()), images=images)) if "repaints" in one.text]
    assert ("seam" in note) is keep
    faithful = Images(**summarise_edits([{"changed_outside": 0.01}]))
    assert not [one for one in notes(Report(data=Data(labels=()), images=faithful)) if "repaints" in one.text]
