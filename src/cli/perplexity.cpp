#include "cli/perplexity.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

#include "base/file.h"
#include "base/utf8.h"
#include "engine/local_model.h"
#include "json/write.h"
#include "model/perplexity.h"

namespace weir::cli {
namespace {

constexpr size_t kTextBytesMax = size_t{256} << 20;
constexpr uint32_t kWindowDefault = 512;

std::string as_json(const model::Perplexity& found) {
    std::string out;
    json::Writer(out)
        .begin_object()
        .member("perplexity", found.value())
        .member("error", found.value_error())
        .member("mean_loss", found.mean_loss)
        .member("tokens", found.tokens)
        .member("windows", found.windows)
        .end_object();
    return out + "\n";
}

std::string as_text(const model::Perplexity& found) {
    return fmt::format("perplexity {:.4f} +/- {:.4f} ({} tokens in {} windows)\n", found.value(),
                       found.value_error(), found.tokens, found.windows);
}

}  // namespace

Result<void> perplexity(const ModelAccess& access, const std::string& model,
                        const PerplexityArguments& arguments) {
    // The user's own text, read while files can be opened.
    WEIR_TRY_ASSIGN(const std::string text, read_file(arguments.file, kTextBytesMax));
    if (!utf8::is_valid(text)) {
        return fail(ErrorCode::InvalidArgument, "{} is no UTF-8 text", arguments.file);
    }
    WEIR_TRY_ASSIGN(auto source, access.open(model));
    WEIR_TRY_ASSIGN(const auto tokenizer, engine::load_tokenizer(*source));
    WEIR_TRY_ASSIGN(const auto tokens, tokenizer.encode(text, {}));
    WEIR_TRY_ASSIGN(const auto begun, tokenizer.encode("a", {.add_special = true}));
    WEIR_TRY_ASSIGN(const auto device, engine::ComputeDevice::open(arguments.threads));
    WEIR_TRY_ASSIGN(const auto kv_dtype, engine::cache_dtype(arguments.cache_bits));
    WEIR_TRY_ASSIGN(const auto loaded, model::load_model(std::move(source), {.kv_dtype = kv_dtype},
                                                         device->compute()));
    model::PerplexityOptions options;
    options.window_tokens =
        arguments.window_tokens.value_or(std::min(kWindowDefault, loaded->info().context_tokens));
    const bool begins_with_bos = tokenizer.bos() && !begun.empty() && begun[0] == *tokenizer.bos();
    if (begins_with_bos) {
        options.first = tokenizer.bos();
    }
    WEIR_TRY_ASSIGN(const auto found, model::perplexity(*loaded, tokens, options));
    const std::string out = arguments.form == OutputForm::Json ? as_json(found) : as_text(found);
    std::fputs(out.c_str(), stdout);
    return {};
}

}  // namespace weir::cli
