#include "cli/new_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <utility>

namespace weir::cli {
namespace {

Error system_error(std::string_view what, const std::string& path) {
    const bool is_full = errno == ENOSPC || errno == EDQUOT || errno == EFBIG;
    return make_error(is_full ? ErrorCode::ResourceExhausted : ErrorCode::Unavailable,
                      "cannot {} {}: {}", what, path, std::strerror(errno));
}

std::unexpected<Error> fail_with(std::string_view what, const std::string& path) {
    return std::unexpected(system_error(what, path));
}

// Without a slash at the end, which would make a name of what is behind it.
std::string without_slashes(std::string path) {
    while (path.size() > 1 && path.ends_with('/')) {
        path.pop_back();
    }
    return path;
}

std::string parent_of(const std::string& path) {
    const std::string parent = std::filesystem::path(path).parent_path().string();
    return parent.empty() ? "." : parent;
}

// Locks what is open as `fd`, so that two writers of one name do not mix.
Result<void> lock(int fd, const std::string& path) {
    struct stat opened{};
    struct stat named{};
    if (::flock(fd, LOCK_EX | LOCK_NB) != 0 || ::fstat(fd, &opened) != 0 ||
        ::lstat(path.c_str(), &named) != 0 || opened.st_ino != named.st_ino ||
        opened.st_dev != named.st_dev) {
        return weir::fail(ErrorCode::Conflict, "{} is being written by somebody else", path);
    }
    return {};
}

// Gives `from` the name `to`; where that is taken, only if it may be replaced.
Result<void> move(const std::string& from, const std::string& to, Existing existing) {
    if (existing == Existing::Replace) {
        return ::rename(from.c_str(), to.c_str()) == 0 ? Result<void>() : fail_with("write", to);
    }
    if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0) {
        return {};
    }
    // File systems that cannot do this can at least link files.
    if (errno == EINVAL && ::link(from.c_str(), to.c_str()) == 0) {
        ::unlink(from.c_str());
        return {};
    }
    return fail_with("write", to);
}

Result<void> sync_folder(const std::string& path) {
    const UniqueFd folder(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!folder.is_open() || (::fsync(folder.get()) != 0 && errno != EINVAL)) {
        return fail_with("sync", path);
    }
    return {};
}

}  // namespace

// ---- a file -------------------------------------------------------------------------------------

NewFile::NewFile(std::string path, Existing existing)
    : path_(std::move(path)), partial_(path_ + ".partial"), existing_(existing) {}

NewFile::NewFile(NewFile&& other) noexcept
    : path_(std::move(other.path_)),
      partial_(std::move(other.partial_)),
      existing_(other.existing_),
      fd_(std::move(other.fd_)),
      is_done_(std::exchange(other.is_done_, true)) {}

NewFile::~NewFile() {
    if (fd_.is_open() && !is_done_) {
        ::unlink(partial_.c_str());
    }
}

Result<NewFile> NewFile::create(const std::string& path, Existing existing) {
    struct stat status{};
    const bool is_there = ::lstat(path.c_str(), &status) == 0;
    if (is_there && existing == Existing::Keep) {
        return weir::fail(ErrorCode::Conflict, "{} is there already (--force replaces it)", path);
    }
    if (is_there && !S_ISREG(status.st_mode) && !S_ISLNK(status.st_mode)) {
        return weir::fail(ErrorCode::Conflict, "{} is there already, and no file", path);
    }
    NewFile file(path, existing);
    UniqueFd fd(::open(file.partial_.c_str(), O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644));
    if (!fd.is_open()) {
        return fail_with("create", file.partial_);
    }
    WEIR_TRY(lock(fd.get(), file.partial_));
    if (::ftruncate(fd.get(), 0) != 0) {
        return fail_with("write", file.partial_);
    }
    file.fd_ = std::move(fd);
    return file;
}

Result<void> NewFile::keep() {
    if (::fsync(fd_.get()) != 0) {
        return fail_with("write", partial_);
    }
    WEIR_TRY(move(partial_, path_, existing_));
    is_done_ = true;
    return sync_folder(parent_of(path_));
}

// ---- a folder -----------------------------------------------------------------------------------

NewFolder::NewFolder(std::string path, std::span<const std::string_view> names, Existing existing)
    : path_(without_slashes(std::move(path))),
      partial_(path_ + ".partial"),
      names_(names.begin(), names.end()),
      existing_(existing) {}

NewFolder::NewFolder(NewFolder&& other) noexcept
    : path_(std::move(other.path_)),
      partial_(std::move(other.partial_)),
      names_(std::move(other.names_)),
      existing_(other.existing_),
      folder_(std::move(other.folder_)),
      files_(std::move(other.files_)),
      is_done_(std::exchange(other.is_done_, true)) {}

NewFolder::~NewFolder() {
    if (!folder_.is_open() || is_done_) {
        return;
    }
    for (const std::string& name : names_) {
        ::unlinkat(folder_.get(), name.c_str(), 0);
    }
    ::rmdir(partial_.c_str());
}

Result<NewFolder> NewFolder::create(const std::string& path,
                                    std::span<const std::string_view> names, Existing existing) {
    NewFolder made(path, names, existing);
    struct stat status{};
    if (::lstat(made.path_.c_str(), &status) == 0) {
        if (existing == Existing::Keep) {
            return weir::fail(ErrorCode::Conflict, "{} is there already (--force replaces it)",
                              made.path_);
        }
        if (!S_ISDIR(status.st_mode)) {
            return weir::fail(ErrorCode::Conflict, "{} is there already, and no folder",
                              made.path_);
        }
        std::error_code failed;
        for (const auto& entry : std::filesystem::directory_iterator(made.path_, failed)) {
            const std::string name = entry.path().filename().string();
            if (std::ranges::find(names, name) == names.end()) {
                return weir::fail(ErrorCode::Conflict,
                                  "{} holds {}, which is not replaced: choose another folder",
                                  made.path_, name);
            }
        }
        if (failed) {
            return weir::fail(ErrorCode::Unavailable, "cannot read {}: {}", made.path_,
                              failed.message());
        }
    }
    WEIR_TRY(made.open_files());
    return made;
}

Result<void> NewFolder::open_files() {
    if (::mkdir(partial_.c_str(), 0755) != 0 && errno != EEXIST) {
        return fail_with("create", partial_);
    }
    UniqueFd folder(::open(partial_.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!folder.is_open()) {
        return fail_with("create", partial_);
    }
    WEIR_TRY(lock(folder.get(), partial_));
    folder_ = std::move(folder);
    for (const std::string& name : names_) {
        files_.emplace_back(::openat(folder_.get(), name.c_str(),
                                     O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644));
        if (!files_.back().is_open()) {
            return fail_with("create", partial_ + "/" + name);
        }
    }
    return {};
}

Result<void> NewFolder::drop_empty_files() {
    for (size_t i = 0; i < files_.size(); ++i) {
        struct stat status{};
        if (::fsync(files_[i].get()) != 0 || ::fstat(files_[i].get(), &status) != 0 ||
            (status.st_size == 0 && ::unlinkat(folder_.get(), names_[i].c_str(), 0) != 0)) {
            return fail_with("write", partial_ + "/" + names_[i]);
        }
    }
    return {};
}

Result<void> NewFolder::keep() {
    if (::fsync(folder_.get()) != 0) {
        return fail_with("write", partial_);
    }
    struct stat status{};
    const bool is_there = ::lstat(path_.c_str(), &status) == 0;
    if (is_there && existing_ == Existing::Replace) {
        // The two change names at once; then what was there, only files of these names, goes.
        if (::renameat2(AT_FDCWD, partial_.c_str(), AT_FDCWD, path_.c_str(), RENAME_EXCHANGE) !=
            0) {
            return fail_with("write", path_);
        }
        for (const std::string& name : names_) {
            ::unlink((partial_ + "/" + name).c_str());
        }
        ::rmdir(partial_.c_str());
    } else {
        WEIR_TRY(move(partial_, path_, Existing::Keep));
    }
    is_done_ = true;
    return sync_folder(parent_of(path_));
}

// ---- both ---------------------------------------------------------------------------------------

Result<void> write_all(int fd, std::span<const std::byte> bytes, const std::string& path) {
    while (!bytes.empty()) {
        const ssize_t count = ::write(fd, bytes.data(), bytes.size());
        if (count < 0 && errno != EINTR) {
            return fail_with("write", path);
        }
        bytes = bytes.subspan(static_cast<size_t>(std::max<ssize_t>(count, 0)));
    }
    return {};
}

Result<bool> in_child(const std::function<Result<void>()>& body) {
    std::fflush(nullptr);
    const pid_t parent = ::getpid();
    const pid_t child = ::fork();
    if (child < 0) {
        return fail_with("start", "a process");
    }
    if (child == 0) {
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (::getppid() != parent) {
            ::_exit(1);  // it died before we could ask to
        }
        const Result<void> done = body();
        if (!done) {
            std::fprintf(stderr, "weir: %s\n", done.error().message.c_str());
        }
        std::fflush(nullptr);
        ::_exit(done ? 0 : 1);
    }
    int status = 0;
    while (::waitpid(child, &status, 0) < 0) {
        if (errno != EINTR) {
            return fail_with("wait for", "a process");
        }
    }
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

void show_progress(uint64_t done, uint64_t total) {
    if (::isatty(STDERR_FILENO) != 0) {
        std::fprintf(
            stderr, "\r%3d %%%s",
            static_cast<int>(100.0 * static_cast<double>(done) / static_cast<double>(total)),
            done == total ? "\n" : "");
    }
}

Result<void> check_not_the_same(const std::string& in, const std::string& out) {
    struct stat a{};
    struct stat b{};
    if (::stat(in.c_str(), &a) == 0 && ::stat(out.c_str(), &b) == 0 && a.st_dev == b.st_dev &&
        a.st_ino == b.st_ino) {
        return weir::fail(ErrorCode::InvalidArgument, "{} and {} are the same", in, out);
    }
    std::error_code failed;
    if (S_ISDIR(a.st_mode) && ::lstat(out.c_str(), &b) == 0 &&
        std::filesystem::equivalent(parent_of(out), in, failed)) {
        return weir::fail(ErrorCode::InvalidArgument, "{} is a file of {}", out, in);
    }
    return {};
}

}  // namespace weir::cli
