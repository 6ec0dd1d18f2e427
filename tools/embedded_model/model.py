"""A Llama decoder in PyTorch, as small as it can be written: pre-norm, grouped-query attention,
rotary positions (Hugging Face's half-split order), SwiGLU, tied embedding, no biases."""

from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class ModelConfig:
    vocabulary: int = 2048
    width: int = 256  # multiples of 256, so that the file can be quantized to K-quants
    layers: int = 6
    heads: int = 4
    kv_heads: int = 2
    head_width: int = 64
    ffn_width: int = 512
    context: int = 1024
    rope_base: float = 10000.0
    norm_epsilon: float = 1e-5

    def to_dict(self) -> dict:
        return asdict(self)


class RmsNorm(nn.Module):
    def __init__(self, width: int, epsilon: float):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.epsilon = epsilon

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x, self.weight.shape, self.weight, self.epsilon)


def linear(inputs: int, outputs: int) -> nn.Linear:
    return nn.Linear(inputs, outputs, bias=False)


def rope_table(config: ModelConfig) -> tuple[Tensor, Tensor]:
    """cos and sin, each [context, head_width / 2]: angle = position * base^(-2i / head_width)."""
    half = torch.arange(config.head_width // 2, dtype=torch.float64)
    frequency = config.rope_base ** (-2.0 * half / config.head_width)
    angle = torch.outer(torch.arange(config.context, dtype=torch.float64), frequency)
    return angle.cos().float(), angle.sin().float()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """x: [rows, length, heads, head_width]; pairs are (i, i + head_width / 2)."""
    low, high = x.chunk(2, dim=-1)
    cos, sin = cos[:, None, :], sin[:, None, :]
    return torch.cat((low * cos - high * sin, high * cos + low * sin), dim=-1)


class Block(nn.Module):
    def __init__(self, config: ModelConfig):
        super().__init__()
        self.config = config
        queries, keys = config.heads * config.head_width, config.kv_heads * config.head_width
        self.attn_norm = RmsNorm(config.width, config.norm_epsilon)
        self.q = linear(config.width, queries)
        self.k = linear(config.width, keys)
        self.v = linear(config.width, keys)
        self.o = linear(queries, config.width)
        self.ffn_norm = RmsNorm(config.width, config.norm_epsilon)
        self.gate = linear(config.width, config.ffn_width)
        self.up = linear(config.width, config.ffn_width)
        self.down = linear(config.ffn_width, config.width)

    def attention(self, x: Tensor, cos: Tensor, sin: Tensor, past: list[Tensor] | None) -> Tensor:
        rows, length, _ = x.shape
        shape = (rows, length, -1, self.config.head_width)
        q = rotate(self.q(x).view(shape), cos, sin).transpose(1, 2)
        k = rotate(self.k(x).view(shape), cos, sin).transpose(1, 2)
        v = self.v(x).view(shape).transpose(1, 2)
        is_start = not past
        if past is not None:
            if past:
                k, v = torch.cat((past[0], k), dim=2), torch.cat((past[1], v), dim=2)
            past[:] = (k, v)
        group = self.config.heads // self.config.kv_heads
        k, v = k.repeat_interleave(group, dim=1), v.repeat_interleave(group, dim=1)
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=is_start)
        return self.o(mixed.transpose(1, 2).reshape(rows, length, -1))

    def forward(
        self, x: Tensor, cos: Tensor, sin: Tensor, past: list[Tensor] | None = None
    ) -> Tensor:
        """`past` is empty before the first call; later calls take one more token."""
        x = x + self.attention(self.attn_norm(x), cos, sin, past)
        h = self.ffn_norm(x)
        return x + self.down(F.silu(self.gate(h)) * self.up(h))


class Llama(nn.Module):
    def __init__(self, config: ModelConfig):
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocabulary, config.width)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = RmsNorm(config.width, config.norm_epsilon)
        cos, sin = rope_table(config)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)
        self.reset()

    def reset(self) -> None:
        nn.init.normal_(self.embedding.weight, std=0.02)
        depth_scale = (2 * self.config.layers) ** -0.5
        for name, weight in self.named_parameters():
            if weight.dim() == 2 and "embedding" not in name:
                std = weight.shape[1] ** -0.5
                is_last = name.endswith(("o.weight", "down.weight"))
                nn.init.normal_(weight, std=std * (depth_scale if is_last else 1.0))

    def hidden(self, ids: Tensor) -> Tensor:
        """ids: [rows, length]; returns [rows, length, width], after the last norm."""
        length = ids.shape[1]
        cos, sin = self.cos[:length], self.sin[:length]
        x = self.embedding(ids)
        for block in self.blocks:
            x = block(x, cos, sin)
        return self.norm(x)

    def forward(self, ids: Tensor) -> Tensor:
        """ids: [rows, length]; returns logits [rows, length, vocabulary]."""
        return F.linear(self.hidden(ids), self.embedding.weight)

    @torch.no_grad()
    def generate(self, ids: list[int], stop: int, tokens_max: int, temperature: float = 0.0,
                 seed: int = 0) -> list[int]:  # fmt: skip
        """Continues ids up to (without) the token `stop`; temperature 0 takes the likeliest."""
        random = torch.Generator().manual_seed(seed)
        pasts: list[list[Tensor]] = [[] for _ in self.blocks]
        position, fresh, made = 0, ids, []
        tokens_max = min(tokens_max, self.config.context - len(ids))
        while len(made) < tokens_max:
            end = position + len(fresh)
            cos, sin = self.cos[position:end], self.sin[position:end]
            x = self.embedding(torch.tensor([fresh]))
            for block, past in zip(self.blocks, pasts):
                x = block(x, cos, sin, past)
            logits = F.linear(self.norm(x[0, -1]), self.embedding.weight)
            if temperature == 0:
                token = int(logits.argmax())
            else:
                shares = torch.softmax(logits / temperature, dim=-1)
                token = int(torch.multinomial(shares, 1, generator=random))
            if token == stop:
                break
            made.append(token)
            position, fresh = end, [token]
        return made
