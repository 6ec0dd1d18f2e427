#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <utility>

#include "base/result.h"

namespace weir {

// Owns a file descriptor.
class UniqueFd {
  public:
    UniqueFd() = default;
    explicit UniqueFd(int fd) : fd_(fd) {}
    UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, kNone)) {}
    UniqueFd& operator=(UniqueFd&& other) noexcept {
        std::swap(fd_, other.fd_);
        return *this;
    }
    ~UniqueFd();

    int get() const { return fd_; }
    bool is_open() const { return fd_ != kNone; }
    int release() { return std::exchange(fd_, kNone); }

  private:
    static constexpr int kNone = -1;  // POSIX's own sentinel
    int fd_ = kNone;
};

// A file mapped read-only. A file that shrinks under the mapping raises SIGBUS on access: only
// processes that may die of it (workers, command-line tools) map files.
class MappedFile {
  public:
    static Result<MappedFile> open(const std::filesystem::path& path);

    MappedFile(MappedFile&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}
    MappedFile& operator=(MappedFile&& other) noexcept {
        std::swap(bytes_, other.bytes_);
        return *this;
    }
    ~MappedFile();

    std::span<const std::byte> bytes() const { return bytes_; }

  private:
    explicit MappedFile(std::span<const std::byte> bytes) : bytes_(bytes) {}
    std::span<const std::byte> bytes_;
};

// The whole file as text; an error if it is larger than `bytes_max`. Messages give the file's name
// without its folder.
Result<std::string> read_file(const std::filesystem::path& path, size_t bytes_max);

// Writes to a temporary name, syncs, renames over `path`, syncs the folder.
Result<void> write_file_atomically(const std::filesystem::path& path, std::string_view text);

}  // namespace weir
