#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/result.h"

namespace weir::cli {

enum class Existing : uint8_t { Keep, Replace };

// A file that gets its name when it is whole. Until then it is PATH.partial, which is gone
// afterwards if all went well or not; a kill leaves it, and the next one to write PATH takes it.
//
// Threads: one. Ownership: of the partial file, which nobody else can write meanwhile.
class NewFile {
  public:
    // Conflict where PATH is there already and shall be kept, or is no file, or somebody else is
    // writing it.
    static Result<NewFile> create(const std::string& path, Existing existing);
    NewFile(NewFile&& other) noexcept;
    NewFile& operator=(NewFile&&) = delete;
    ~NewFile();

    int fd() const { return fd_.get(); }
    const std::string& partial() const { return partial_; }
    Result<void> keep();

  private:
    NewFile(std::string path, Existing existing);

    std::string path_;
    std::string partial_;
    Existing existing_;
    UniqueFd fd_;
    bool is_done_ = false;
};

// The same for a folder of a few files, whose names are said at the beginning. Those that stay
// empty are not there at the end. A folder that is there already is only replaced if it holds
// nothing but files of these names.
class NewFolder {
  public:
    static Result<NewFolder> create(const std::string& path,
                                    std::span<const std::string_view> names, Existing existing);
    NewFolder(NewFolder&& other) noexcept;
    NewFolder& operator=(NewFolder&&) = delete;
    ~NewFolder();

    int fd(size_t file) const { return files_[file].get(); }  // in the order of the names
    const std::string& partial() const { return partial_; }
    Result<void> drop_empty_files();
    Result<void> keep();  // after that

  private:
    NewFolder(std::string path, std::span<const std::string_view> names, Existing existing);
    Result<void> open_files();

    std::string path_;
    std::string partial_;
    std::vector<std::string> names_;
    Existing existing_;
    UniqueFd folder_;
    std::vector<UniqueFd> files_;
    bool is_done_ = false;
};

// ResourceExhausted where the disk is full.
Result<void> write_all(int fd, std::span<const std::byte> bytes, const std::string& path);

// Runs `body` in a child of this process, which dies with it, and says whether it went well; what
// went wrong, the child has said. So call it while there is one thread.
Result<bool> in_child(const std::function<Result<void>()>& body);

// On stderr, if that is a terminal.
void show_progress(uint64_t done, uint64_t total);

// InvalidArgument where both names are of one file or folder, or where `out` is a file that is
// there already in the folder `in`.
Result<void> check_not_the_same(const std::string& in, const std::string& out);

}  // namespace weir::cli
