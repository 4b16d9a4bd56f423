"""The base of the critics that ask a paid service: each case is a conversation, each of its questions a paid call."""

from __future__ import annotations

import weakref
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Unpack

from ...calls import CallError, Calls, MemoryLedger, Prices, imap_unordered
from ...errors import ConfigError
from ...interfaces import Context, Critic, PaidCalls
from ...records import (
    CALL_FAILED,
    JSON,
    BatchClient,
    BatchedCall,
    Case,
    Critique,
    Estimate,
    Failure,
    ImageCheck,
    ImageToCheck,
    RawReply,
    digest,
)
from ._answer_text import map_strings, strip_surrogates
from ._by_name import make_second_critic
from ._conversation import Conversation, Dialogue, Question, run_conversations
from ._image_question import image_key
from ._model_reply import ModelReply
from ._paid_conversation import KeyedQuestion, Made, PaidConversation, Received, hand_on, key_prefix, to_failure
from ._sdk import SdkClient
from ._server_dialect import Dialect, DialectFinder
from ._service_endpoint import ServiceEndpoint
from ._token_estimate import estimate_calls, max_usage
from ._vlm_critic import DialogueOptions, VLMCritic

# Changing these reuses all earlier work.
NOT_IN_KEY = ("budget_usd", "prices", "timeout_s", "mode", "limit_name", "system_role", "cache_system")
MODES = ("live", "batch")
CASES_PER_BATCH = 250  # a run has a few such batches under way at once


class RemoteOptions(DialogueOptions, total=False):
    """The settings that the critics of all paid services take, as `RemoteCritic` explains them."""

    max_tokens: int
    base_url: str | None
    mode: str
    timeout_s: float
    second: Mapping[str, Any] | None
    budget_usd: float | None
    prices: Mapping[str, Mapping[str, JSON]] | None


class RemoteCritic(VLMCritic, ServiceEndpoint):
    """Asks a model of a paid service.

    Args:
        model: its name at the service.
        max_tokens: maximum length of an answer, thinking or reasoning included.
        base_url: of a server with the service's protocol; None: from the environment, else the service's own.
        mode: "live", or "batch": calls are sent together, answered within a day, and cost half.
        timeout_s: maximum duration of a call in seconds.
        second: table of a critic that takes the cases this one declines: {"name": "openai", …}.
        budget_usd: maximum spending outside a run; in a run its own budget counts.
        prices: by model, for use outside a run; as in `[budget] prices`.
        options: settings of the dialogue, as in `VLMCritic`.

    Attributes:
        pixels_per_token: of an image, by the service's rule; the others are those of `ServiceEndpoint`.
    """

    remote = True
    stochastic = True
    pixels_per_token = 600
    _client: SdkClient
    _dialogue: Dialogue
    _finder: DialectFinder
    _paid: PaidCalls
    _second: Critic | None = None
    _has_answer = False
    _connected = False  # recorded replies are read one by one, in whichever mode they were sent

    def __init__(
        self,
        model: str,
        *,
        max_tokens: int = 2_000,
        base_url: str | None = None,
        mode: str = "live",
        timeout_s: float = 120,
        second: Mapping[str, Any] | None = None,
        budget_usd: float | None = None,
        prices: Mapping[str, Mapping[str, JSON]] | None = None,
        **options: Unpack[DialogueOptions],
    ) -> None:
        super().__init__(model, max_tokens=max_tokens, **options)
        self.base_url = base_url
        self.mode = mode
        self.timeout_s = timeout_s
        self.second = second
        self.budget_usd = budget_usd
        self.prices = prices

    @property
    def batch_size(self) -> int:  # type: ignore[override]  # follows from a parameter
        """1 in live mode: a run then has many cases in flight at once, and keeps each as it is done."""
        return CASES_PER_BATCH if self.mode == "batch" else 1

    def check(self) -> None:
        """Raises ConfigError or MissingExtraError for a wrong parameter, a missing package or a missing key."""
        self._check_parameters()
        self._check_access()
        if self.second is not None:
            make_second_critic(self.second).check()

    def prepare(self, context: Context) -> None:
        """Connects, and takes the labels, the budget and the limits on prompts from the run."""
        self.check()
        self.prepare_offline(context)
        self._connect()
        self._connected = True
        if self.second is not None:
            self._second = make_second_critic(self.second)
            self._second.prepare(context)

    def prepare_offline(self, context: Context) -> None:
        """Prepares without key, package or connection, which is enough to read recorded replies."""
        self._dialogue = self._make_dialogue(context)
        self._finder = self._make_dialect_finder()
        # Outside a run the critic has its own budget, and a ledger in memory.
        self._paid = context.paid or Calls(
            MemoryLedger(), budget_usd=self.budget_usd, prices=Prices({**self.default_prices, **(self.prices or {})})
        )
        second = make_second_critic(self.second) if self.second is not None else None
        if isinstance(second, RemoteCritic):
            second.prepare_offline(context)
            self._second = second

    def critique(self, cases: Sequence[Case]) -> list[Critique | Failure]:
        """One critique a case, in order; many calls are in flight at once, or all of them in a batch."""
        converse, prefix = self._dialogue.discuss, partial(key_prefix, dialogue=self.dialogue)
        critiques = self._hold([self._converse(converse(case), partial(prefix, case)) for case in cases])
        return hand_on(cases, critiques, None if self._second is None else self._second.critique)

    def check_images(self, images: Sequence[ImageToCheck]) -> list[ImageCheck | Failure]:
        """Whether each image shows what its prompt asks for, in order; many calls are in flight, or in a batch."""
        self._has_answer = True  # an image that is declined is kept, and ends no run
        conversations = [self._converse(self._dialogue.check_image(one), partial(image_key, one)) for one in images]
        second = self._second if self._second is not None and self._second.checks_images else None
        return hand_on(images, self._hold(conversations), None if second is None else second.check_images)

    def identity(self) -> dict[str, JSON]:
        """What a result depends on; the cost of a call is not part of it."""
        parameters = {name: value for name, value in self.parameters().items() if name not in NOT_IN_KEY}
        return {**super().identity(), "parameters": parameters}

    def estimate(self, items: int) -> Estimate:
        """Calls, tokens and bytes by the texts to be sent; panels are assumed to be of square images."""
        return self._estimate(items, of="mistake")

    def estimate_sheets(self, items: int) -> Estimate:
        """As `estimate`, for so many slices."""
        return self._estimate(items, of="slice")

    def estimate_checks(self, items: int) -> Estimate:
        """As `estimate`, for so many new images, taken for as large as a panel."""
        return self._estimate(items, of="image")

    def _estimate(self, items: int, *, of: str) -> Estimate:
        if not items:
            estimate = Estimate(model=self.model, receiver=self._receiver())
        else:
            dialogue, receiver = self._make_dialogue(Context()), self._receiver()
            estimate = estimate_calls(dialogue, self.model, receiver, self.pixels_per_token, items, of=of)
        second = None if self.second is None else make_second_critic(self.second).estimate(0)
        return replace(estimate, batched=self.mode == "batch", second=second)

    @property
    def default_prices(self) -> Mapping[str, Mapping[str, JSON]]:
        """Those of the second critic: the first one's is known by its name, or has to be set."""
        return {} if self.second is None else make_second_critic(self.second).default_prices

    def _hold(self, conversations: Sequence[PaidConversation[Made]]) -> list[Made | Failure]:
        """The results of conversations, in order."""
        if self._connected and self.mode == "batch":
            batch_client = self._make_batch_client()
            return run_conversations(conversations, lambda questions: self._call_batch(questions, batch_client))
        if len(conversations) == 1:
            return [self._hold_one(conversations[0])]
        hold: Callable[[PaidConversation[Made]], Made | Failure] = self._hold_one
        made = dict(imap_unordered(hold, conversations))
        return [made[i] for i in range(len(conversations))]

    def _hold_one(self, conversation: PaidConversation[Made]) -> Made | Failure:
        return run_conversations([conversation], lambda questions: [self._call(one) for one in questions])[0]

    def _converse(
        self, conversation: Conversation[Made | Failure], prefix: Callable[[int], str]
    ) -> PaidConversation[Made]:
        """A conversation as calls whose replies the caller fetches; each key begins with the prefix of its number."""
        keys = list[str]()
        question = next(conversation)
        while True:
            keys.append(self._call_key(prefix(len(keys)), question))
            received = yield KeyedQuestion(keys[-1], question)
            if isinstance(received, CallError):
                made: Made | Failure = to_failure(received)
                break
            reply = replace(self._read_safely(received.raw.body), is_new=received.is_new)
            try:
                question = conversation.send(reply)
            except StopIteration as end:
                made = end.value
                break
        self._reject(keys[-1], made)
        return made

    def _reject(self, key: str, made: object) -> None:
        """Counts an item without an answer as failed.

        A refusal is the service's word on one item, which another critic may take: it ends no run, unless all of the
        first cases are refused and nobody takes them.
        """
        if not isinstance(made, Failure):
            self._has_answer = True
        elif made.kind == "refusal":
            if self._second is None and not self._has_answer:
                self._paid.reject(key, made.message)
        elif made.kind != CALL_FAILED:  # failed calls are counted where they are made
            self._paid.reject(key, made.message)

    def _read_safely(self, body: Mapping[str, JSON]) -> ModelReply:
        try:
            reply = self._read_reply(body)
            return replace(reply, text=strip_surrogates(reply.text), category=strip_surrogates(reply.category))
        except (AttributeError, TypeError):
            return ModelReply("")  # a body of an undocumented shape is an empty reply

    def _call(self, keyed: KeyedQuestion) -> Received | CallError:
        worst, sent = self._worst_case_usd(keyed.question), list[None]()

        def send(_: Mapping[str, JSON]) -> RawReply:
            sent.append(None)
            return self._finder.ask(keyed.question, self._send)

        request = self._to_sendable(keyed.question, self._finder.dialect)
        try:
            return Received(self._paid.call(keyed.key, request, worst_case_usd=worst, send=send), bool(sent))
        except CallError as error:
            return error

    def _send(self, question: Question, dialect: Dialect) -> RawReply:
        return self._post(self._to_sendable(question, dialect), dialect)

    def _call_batch(self, questions: Sequence[KeyedQuestion], batch_client: BatchClient) -> list[Received | CallError]:
        calls = [
            BatchedCall(
                keyed.key,
                self._to_sendable(self._finder.dialect.phrase(keyed.question), self._finder.dialect),
                self._worst_case_usd(keyed.question),
            )
            for keyed in questions
        ]
        replies = self._paid.batch(calls, batch_client)
        return [reply if isinstance(reply, CallError) else Received(reply) for reply in replies]

    def _worst_case_usd(self, question: Question) -> float:
        usage = max_usage(question, self.pixels_per_token, self._reasoning_allowance(question))
        if getattr(self, "cache_system", False):
            usage["cache_write_tokens"] = usage["input_tokens"]  # what is written to a cache costs more
        worst = self._paid.worst_case_usd(self.model, usage)
        if self._connected:
            self._check_price(self.model, worst)
        return worst

    def _reasoning_allowance(self, question: Question) -> int:  # noqa: ARG002  of other services
        """Tokens that the model may think, and the service bill, beside the limit of the answer."""
        return 0

    def _to_sendable(self, question: Question, dialect: Dialect) -> dict[str, Any]:
        """The request to be sent: names of folders, and so labels, may hold what no encoding can send."""
        request: dict[str, Any] = map_strings(self._to_request(question, dialect), strip_surrogates)
        return request

    def _call_key(self, prefix: str, question: Question) -> str:
        """Equal for calls with interchangeable replies; its beginning names what the question is about."""
        key = f"{prefix}:{digest([self._request_settings(), question.to_json()])}"
        return key.encode(errors="backslashreplace").decode()  # a ledger cannot hold what no encoding can write

    def _request_settings(self) -> JSON:
        """Everything in a request besides the question."""
        return [type(self).__name__, self.model]

    def _check_parameters(self) -> None:
        self._check_dialogue()
        if self.mode not in MODES:
            raise ConfigError(f"{type(self).__name__}: mode must be one of {', '.join(MODES)}, got {self.mode!r}")
        if not self.timeout_s >= 1:
            raise ConfigError(f"{type(self).__name__}: timeout_s must be at least 1, got {self.timeout_s}")

    def _connect(self) -> None:
        client, key = self._open_client()
        weakref.finalize(self, client.close)
        self._client = SdkClient(client, key, self.timeout_s)

    @abstractmethod
    def _to_request(self, question: Question, dialect: Dialect) -> dict[str, Any]:
        """The question as a request body in a dialect."""

    @abstractmethod
    def _post(self, request: Mapping[str, JSON], dialect: Dialect) -> RawReply:
        """Sends a request once; returns every completion, and raises CallError for all else."""

    @abstractmethod
    def _make_dialect_finder(self) -> DialectFinder:
        """What finds out how the server wants to be asked."""

    @abstractmethod
    def _make_batch_client(self) -> BatchClient:
        """The batch_client that carries batches to the service."""

    @abstractmethod
    def _read_reply(self, body: Mapping[str, JSON]) -> ModelReply:
        """The model's reply in a response body."""
