#include "cli/quantize.h"

#include <thread>

#include "cli/folder_tokenizer.h"
#include "kernels/thread_pool.h"
#include "model/quantize_model.h"

namespace weir::cli {
namespace {

// What the new file says besides the types of its tensors.
Result<model::GgufContents> whole_contents_of(const model::ModelSource& source) {
    WEIR_TRY_ASSIGN(model::GgufContents contents, model::contents_of(source));
    if (source.folder() != nullptr) {
        WEIR_TRY(add_folder_tokenizer(source, contents.head));
    }
    return contents;
}

}  // namespace

Result<void> quantize(const ModelAccess& access, const QuantizeOptions& options) {
    const auto type = model::file_type_of(options.type);
    if (!type) {
        return invalid_argument("TYPE", "unknown type {}; there are Q8_0, Q4_0, Q4_K_M and Q6_K",
                                options.type);
    }
    WEIR_TRY(check_not_the_same(options.in, options.out));
    WEIR_TRY_ASSIGN(NewFile out, NewFile::create(options.out, options.existing));
    const auto write = [&]() -> Result<void> {
        WEIR_TRY_ASSIGN(const auto source, access.open(options.in));
        WEIR_TRY_ASSIGN(const model::GgufContents contents, whole_contents_of(*source));
        kernels::ThreadPool pool(options.threads.value_or(std::thread::hardware_concurrency()));
        return model::quantize_model(
            contents, *type, pool,
            [&](std::span<const std::byte> bytes) {
                return write_all(out.fd(), bytes, options.out);
            },
            show_progress);
    };
    WEIR_TRY_ASSIGN(const bool is_written, in_child(write));
    if (!is_written) {
        return weir::fail(ErrorCode::Unavailable, "{} was not written", options.out);
    }
    return out.keep();
}

}  // namespace weir::cli
