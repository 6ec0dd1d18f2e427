#include "base/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace weir {
namespace {

// Not waiting for somebody to write into what turns out to be a pipe.
constexpr int kReadOnly = O_RDONLY | O_CLOEXEC | O_NONBLOCK;

std::unexpected<Error> system_error(const std::filesystem::path& path, std::string_view what) {
    const int number = errno;
    const ErrorCode code = number == ENOENT                       ? ErrorCode::NotFound
                           : number == EACCES || number == EPERM  ? ErrorCode::PermissionDenied
                           : number == ENOSPC || number == EDQUOT ? ErrorCode::ResourceExhausted
                                                                  : ErrorCode::Unavailable;
    return fail(code, "cannot {} {}: {}", what, path.filename().string(), std::strerror(number));
}

Result<uint64_t> regular_file_bytes(int fd, const std::filesystem::path& path) {
    struct stat status{};
    if (::fstat(fd, &status) != 0) {
        return system_error(path, "read");
    }
    if (!S_ISREG(status.st_mode)) {
        return fail(ErrorCode::InvalidArgument, "{} is not a regular file",
                    path.filename().string());
    }
    return static_cast<uint64_t>(status.st_size);
}

Result<void> write_all(int fd, std::string_view text, const std::filesystem::path& path) {
    while (!text.empty()) {
        const ssize_t count = ::write(fd, text.data(), text.size());
        if (count < 0) {
            if (errno == EINTR) {
                continue;
            }
            return system_error(path, "write");
        }
        text.remove_prefix(static_cast<size_t>(count));
    }
    if (::fsync(fd) != 0) {
        return system_error(path, "sync");
    }
    return {};
}

}  // namespace

UniqueFd::~UniqueFd() {
    if (is_open()) {
        ::close(fd_);
    }
}

Result<MappedFile> MappedFile::open(const std::filesystem::path& path) {
    const UniqueFd fd(::open(path.c_str(), kReadOnly));
    if (!fd.is_open()) {
        return system_error(path, "open");
    }
    WEIR_TRY_ASSIGN(const uint64_t size, regular_file_bytes(fd.get(), path));
    if (size == 0) {
        return data_corrupt("{} is empty", path.filename().string());
    }
    void* address = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, fd.get(), 0);
    if (address == MAP_FAILED) {
        return system_error(path, "map");
    }
    return MappedFile({static_cast<const std::byte*>(address), size});
}

MappedFile::~MappedFile() {
    if (!bytes_.empty()) {
        ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
    }
}

Result<std::string> read_file(const std::filesystem::path& path, size_t bytes_max) {
    const UniqueFd fd(::open(path.c_str(), kReadOnly));
    if (!fd.is_open()) {
        return system_error(path, "open");
    }
    WEIR_TRY_ASSIGN(const uint64_t size, regular_file_bytes(fd.get(), path));
    if (size > bytes_max) {
        return fail(ErrorCode::TooLarge, "{} has {} bytes, the limit is {}",
                    path.filename().string(), size, bytes_max);
    }
    std::string text(size, '\0');
    size_t filled = 0;
    while (filled < text.size()) {
        const ssize_t count = ::read(fd.get(), text.data() + filled, text.size() - filled);
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count < 0) {
            return system_error(path, "read");
        }
        if (count == 0) {
            break;
        }
        filled += static_cast<size_t>(count);
    }
    text.resize(filled);
    return text;
}

Result<void> write_file_atomically(const std::filesystem::path& path, std::string_view text) {
    const std::filesystem::path temporary = path.string() + ".new";
    {
        const UniqueFd fd(
            ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
        if (!fd.is_open()) {
            return system_error(path, "create");
        }
        WEIR_TRY(write_all(fd.get(), text, path));
    }
    if (::rename(temporary.c_str(), path.c_str()) != 0) {
        return system_error(path, "rename");
    }
    const auto folder = path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
    const UniqueFd parent(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!parent.is_open() || ::fsync(parent.get()) != 0) {
        return system_error(folder, "sync");
    }
    return {};
}

}  // namespace weir
