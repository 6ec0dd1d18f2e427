#include "cli/model_access.h"

#include <sys/stat.h>

#include <cerrno>
#include <cstring>

#include "base/file.h"

namespace weir::cli {
namespace {

// Whether the path leads to a file (or a folder) that can be opened: a pipe would keep us waiting
// for somebody to write into it.
Result<void> check_openable(const std::string& path) {
    struct stat status{};
    if (::stat(path.c_str(), &status) != 0) {
        return fail(ErrorCode::NotFound, "cannot open {}: {}", path, std::strerror(errno));
    }
    if (!S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode)) {
        return fail(ErrorCode::InvalidArgument, "{} is neither a regular file nor a folder", path);
    }
    return {};
}

template <typename T>
Result<T> named(Result<T> opened, const std::string& path) {
    if (!opened) {
        return std::unexpected(std::move(opened).error().with_context(path));
    }
    return opened;
}

}  // namespace

Result<model::ModelSource::Pointer> ModelAccess::open(const std::string& name) const {
    if (name == "weir-tiny") {
        WEIR_TRY(enter_sandbox());
        if (embedded.empty()) {
            return unsupported("this build has no embedded model");
        }
        return model::ModelSource::from_bytes(embedded);
    }
    WEIR_TRY(check_openable(name));
    WEIR_TRY(enter_sandbox());
    return named(model::ModelSource::open(name), name);
}

Result<std::string> ModelAccess::read_text(const std::string& path, size_t bytes_max) const {
    WEIR_TRY(check_openable(path));
    WEIR_TRY(enter_sandbox());
    return named(read_file(path, bytes_max), path);
}

}  // namespace weir::cli
