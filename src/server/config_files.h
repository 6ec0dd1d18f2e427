#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "base/result.h"

namespace weir::server {

// A path as people write it in a configuration: "~/" is $HOME, what is relative starts at `folder`.
std::string resolved_path(const std::string& text, const std::filesystem::path& folder);

enum class FileKind : uint8_t { File, FileOrFolder };

// Whether the path leads to something of this kind that this process may read. Opens nothing, so
// that a pipe or a device cannot keep it waiting. Errors name the path as it was given.
Result<void> check_readable(const std::filesystem::path& path, FileKind kind);

}  // namespace weir::server
