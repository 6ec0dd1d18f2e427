#include "cli/quantize.h"

#include <fmt/format.h>

#include <cstdio>
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
        WEIR_TRY_ASSIGN(const Warning warning, add_folder_tokenizer(source, contents.head));
        print_warning(warning);
    }
    return contents;
}

void say_other_types(const std::vector<model::OtherType>& types) {
    for (const model::OtherType& one : types) {
        const tensor::DTypeInfo& wanted = tensor::info(one.wanted);
        fmt::print(
            stderr,
            "weir: rows of {} numbers are no whole blocks of {} ({}): {} tensor{} written as "
            "{} ({}{})\n",
            one.columns, wanted.block_elements, wanted.name, one.tensors,
            one.tensors == 1 ? " is" : "s are", tensor::info(one.written).name, one.first,
            one.tensors == 1 ? "" : " and others");
    }
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
        say_other_types(model::other_types(contents, *type));
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
