#include "server/config_files.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "server/config.h"

namespace weir::server {
namespace {

Result<void> check_named(const std::string& path, FileKind kind, std::string_view whose) {
    if (path.empty()) {
        return {};
    }
    Result<void> checked = check_readable(path, kind);
    if (!checked) {
        return std::unexpected(std::move(checked).error().with_context(whose));
    }
    return {};
}

}  // namespace

std::string resolved_path(const std::string& text, const std::filesystem::path& folder) {
    const char* home = std::getenv("HOME");
    std::filesystem::path path = text;
    if (text.starts_with("~/") && home != nullptr && *home != '\0') {
        path = std::filesystem::path(home) / text.substr(2);
    }
    if (path.is_relative() && !folder.empty()) {
        path = folder / path;
    }
    return path.lexically_normal().string();
}

Result<void> check_readable(const std::filesystem::path& path, FileKind kind) {
    struct stat status{};
    const bool there = ::stat(path.c_str(), &status) == 0;
    const bool folder = there && S_ISDIR(status.st_mode);
    if (there && !S_ISREG(status.st_mode) && !(folder && kind == FileKind::FileOrFolder)) {
        return fail(ErrorCode::InvalidArgument, "{} is not a regular file{}", path.string(),
                    kind == FileKind::File ? "" : " and not a folder");
    }
    if (!there || ::access(path.c_str(), folder ? R_OK | X_OK : R_OK) != 0) {
        return fail(errno == EACCES ? ErrorCode::PermissionDenied : ErrorCode::NotFound,
                    "cannot read {}: {}", path.string(), std::strerror(errno));
    }
    return {};
}

Result<void> check_files(const Config& config) {
    WEIR_TRY(
        check_named(config.tls_certificate_file, FileKind::File, "server: tls_certificate_file"));
    WEIR_TRY(check_named(config.tls_key_file, FileKind::File, "server: tls_key_file"));
    for (const BackendConfig& backend : config.backends) {
        const auto whose = [&](std::string_view key) {
            return fmt::format("backend \"{}\": {}", backend.name, key);
        };
        if (const auto* model = std::get_if<ModelSource>(&backend.source)) {
            WEIR_TRY(check_named(model->path, FileKind::FileOrFolder, whose("path")));
        } else {
            WEIR_TRY(check_named(std::get<RemoteSource>(backend.source).ca_file, FileKind::File,
                                 whose("ca_file")));
        }
    }
    return {};
}

}  // namespace weir::server
