#include <array>
#include <filesystem>
#include <functional>
#include <thread>
#include <type_traits>

#include "cli/folder_tokenizer.h"
#include "cli/quantize.h"
#include "json/write.h"
#include "kernels/thread_pool.h"
#include "model/convert/gguf_contents.h"
#include "model/convert/hf_contents.h"

namespace weir::cli {
namespace {

// The files of a folder that is made. A small one that came last would be missing from a folder
// that somebody looks into; the name of the whole comes after all of them.
enum File : size_t {
    kConfig,
    kGeneration,
    kTokenizerJson,
    kTokenizerModel,
    kTokenizerConfig,
    kTokenizerGguf,
    kTemplate,
    kWeights,
};
constexpr std::array<std::string_view, 8> kNames = {
    "config.json",           "generation_config.json", "tokenizer.json",      "tokenizer.model",
    "tokenizer_config.json", "tokenizer.gguf",         "chat_template.jinja", "model.safetensors"};

uint32_t threads_of(const ConvertOptions& options) {
    return options.threads.value_or(std::thread::hardware_concurrency());
}

// What was written is opened as anybody would, and every tensor looked for.
Result<void> check_written(const ModelAccess& access, const std::string& path) {
    WEIR_TRY_ASSIGN(const auto source, access.open(path));
    WEIR_TRY_ASSIGN(const auto config, source->config());
    return model::check_tensors(source->tensors(config), config);
}

Result<void> write_gguf(const model::ModelSource& source, const ConvertOptions& options,
                        const NewFile& out) {
    WEIR_TRY_ASSIGN(model::GgufContents contents, model::contents_of(source));
    WEIR_TRY_ASSIGN(const Warning warning, add_folder_tokenizer(source, contents.head));
    print_warning(warning);
    kernels::ThreadPool pool(threads_of(options));
    return model::write_gguf(
        contents, pool,
        [&](std::span<const std::byte> bytes) { return write_all(out.fd(), bytes, options.out); },
        show_progress);
}

Result<void> write_folder(const model::ModelSource& source, const ConvertOptions& options,
                          const NewFolder& out) {
    WEIR_TRY_ASSIGN(const model::FolderContents contents, model::folder_contents_of(source));
    WEIR_TRY_ASSIGN(const FolderTexts texts, folder_texts_of(source));
    const auto write = [&](File file, std::span<const std::byte> bytes) {
        return write_all(out.fd(file), bytes, options.out);
    };
    const auto write_text = [&](File file, const std::string& text) {
        return write(file, std::as_bytes(std::span(text.data(), text.size())));
    };
    WEIR_TRY(write_text(kConfig, json::to_text(json::Value(contents.config)) + "\n"));
    WEIR_TRY(write_text(kGeneration, texts.generation_config_json));
    WEIR_TRY(write_text(kTokenizerJson, texts.tokenizer_json));
    WEIR_TRY(write_text(kTokenizerModel, texts.tokenizer_model));
    WEIR_TRY(write_text(kTokenizerConfig, texts.tokenizer_config_json));
    WEIR_TRY(write_text(kTemplate, texts.chat_template));
    WEIR_TRY(write(kTokenizerGguf, texts.tokenizer_gguf));
    kernels::ThreadPool pool(threads_of(options));
    return model::write_safetensors(
        contents.tensors, pool,
        [&](std::span<const std::byte> bytes) { return write(kWeights, bytes); }, show_progress);
}

// Runs `body` in a child, which goes into the sandbox.
Result<void> run(const ConvertOptions& options, const std::function<Result<void>()>& body) {
    WEIR_TRY_ASSIGN(const bool is_done, in_child(body));
    return is_done ? Result<void>()
                   : weir::fail(ErrorCode::Unavailable, "{} was not written", options.out);
}

template <typename New, typename Write>
Result<void> write_and_check(const ModelAccess& access, const ConvertOptions& options, New& out,
                             const Write& write) {
    WEIR_TRY(run(options, [&]() -> Result<void> {
        WEIR_TRY_ASSIGN(const auto source, access.open(options.in));
        return write(*source, options, out);
    }));
    if constexpr (std::is_same_v<New, NewFolder>) {
        WEIR_TRY(out.drop_empty_files());
    }
    WEIR_TRY(run(options, [&] { return check_written(access, out.partial()); }));
    return out.keep();
}

}  // namespace

Result<void> convert(const ModelAccess& access, const ConvertOptions& options) {
    WEIR_TRY(check_not_the_same(options.in, options.out));
    std::error_code ignored;
    if (std::filesystem::is_directory(options.in, ignored)) {
        WEIR_TRY_ASSIGN(NewFile out, NewFile::create(options.out, options.existing));
        return write_and_check(access, options, out, write_gguf);
    }
    WEIR_TRY_ASSIGN(NewFolder out, NewFolder::create(options.out, kNames, options.existing));
    return write_and_check(access, options, out, write_folder);
}

}  // namespace weir::cli
