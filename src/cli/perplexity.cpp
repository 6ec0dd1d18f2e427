#include "cli/perplexity.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
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
        .member("left_out_tokens", found.left_out)
        .end_object();
    return out + "\n";
}

std::string as_text(const model::Perplexity& found) {
    const std::string left_out =
        found.left_out == 0
            ? ""
            : fmt::format("; the last {} tokens fill none and are left out", found.left_out);
    return fmt::format("perplexity {:.4f} +/- {:.4f} ({} tokens in {} windows{})\n", found.value(),
                       found.value_error(), found.tokens, found.windows, left_out);
}

// What is found so far, on stderr: on a terminal always in one line, else a line now and then.
class Reporter {
  public:
    void tell(const model::Perplexity& so_far, uint64_t windows) {
        const auto now = std::chrono::steady_clock::now();
        const bool is_last = so_far.windows == windows;
        if (now - told_ < (is_terminal_ ? kBetweenOnTerminal : kBetween) &&
            !(is_last && is_terminal_)) {
            return;
        }
        told_ = now;
        fmt::print(stderr, "{}{} of {} windows, perplexity so far {:.4f}{}",
                   is_terminal_ ? "\r" : "weir: ", so_far.windows, windows, so_far.value(),
                   is_terminal_ && !is_last ? "" : "\n");
        std::fflush(stderr);
    }

  private:
    static constexpr std::chrono::milliseconds kBetweenOnTerminal{200};
    static constexpr std::chrono::milliseconds kBetween{10'000};
    const bool is_terminal_ = ::isatty(STDERR_FILENO) != 0;
    std::chrono::steady_clock::time_point told_ = std::chrono::steady_clock::now();
};

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
    Reporter reporter;
    options.progress = [&](const model::Perplexity& so_far, uint64_t windows) {
        reporter.tell(so_far, windows);
    };
    WEIR_TRY_ASSIGN(const auto found, model::perplexity(*loaded, tokens, options));
    const std::string out = arguments.form == OutputForm::Json ? as_json(found) : as_text(found);
    std::fputs(out.c_str(), stdout);
    return {};
}

}  // namespace weir::cli
