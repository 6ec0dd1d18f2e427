#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"
#include "cli/model_access.h"
#include "cli/show.h"

namespace weir::cli {

struct RunOptions {
    std::string prompt;  // empty: what standard input says, or a conversation
    std::string system;
    std::optional<float> temperature;
    std::optional<int64_t> seed;  // as in OpenAI's API
    std::optional<uint32_t> tokens_max;
    std::optional<uint32_t> threads;
    OutputForm form = OutputForm::Text;
};

// Talks to a model: one answer to the prompt (or to all of standard input, if that is no terminal),
// or a conversation, line by line, until the end of input. Answers appear as they are made; as JSON
// each is one line, {"text": "…", "finish_reason": "…", "seed": N, "prompt_tokens": N, …}, when it
// has ended.
Result<void> run(const ModelAccess& access, const std::string& model, const RunOptions& options);

}  // namespace weir::cli
