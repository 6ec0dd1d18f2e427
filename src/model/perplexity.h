#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>

#include "base/result.h"
#include "model/model.h"

namespace weir::model {

struct Perplexity {
    double mean_loss = 0;       // -log p of a token, in nats
    double standard_error = 0;  // of mean_loss
    uint64_t tokens = 0;        // scored
    uint64_t windows = 0;
    uint64_t left_out = 0;  // tokens at the end of the text, which fill no window

    double value() const;        // e^mean_loss
    double value_error() const;  // of value(), to first order
};

struct PerplexityOptions {
    uint32_t window_tokens = 512;
    std::optional<TokenId> first;  // begins every window: the model's BOS
    // After every window: what was found so far, and the windows of the whole text.
    std::function<void(const Perplexity& so_far, uint64_t windows)> progress = {};
};

// How well a model foretells a text: what quantization is measured by.
//
// The text is cut into windows that do not overlap. Of each, the second half is scored, so that
// every scored token has at least half a window before it; the rest of the text that fills no
// window is left out, and counted (a text shorter than one is one window): its tokens would have
// less before them than the others, and other programs leave it out too, so that figures can be
// compared. Losses are summed in float64, in the
// order of the text: the same model and text give the same bits.
//
// Memory: the cache of one window, and kRows rows of logits. Errors: InvalidArgument for a text of
// fewer than four tokens, an id that the model lacks, a window beyond its context.
Result<Perplexity> perplexity(Model& model, std::span<const TokenId> tokens,
                              const PerplexityOptions& options);

}  // namespace weir::model
