#pragma once

#include <string>

#include "base/result.h"
#include "cli/model_access.h"

// The verbs that answer JSON lines, for people who build on Weir and for tests that others wrote.
namespace weir::cli {

Result<void> tokenize(const ModelAccess& access, const std::string& model);
Result<void> detokenize(const ModelAccess& access, const std::string& model);
// Strict is the reference to the letter; Lenient is how served models render.
enum class TemplateMode { Strict, Lenient };
Result<void> render_template(const ModelAccess& access, const std::string& file, TemplateMode mode);
// What a model with this chat template says, as a message.
Result<void> parse_output(const ModelAccess& access, const std::string& file);
Result<void> logits(const ModelAccess& access, const std::string& model);
Result<void> embed(const ModelAccess& access, const std::string& model);
Result<void> generate(const ModelAccess& access, const std::string& model);

}  // namespace weir::cli
