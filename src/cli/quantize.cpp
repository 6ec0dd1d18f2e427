#include "cli/quantize.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <functional>
#include <thread>

#include "base/file.h"
#include "kernels/thread_pool.h"
#include "model/quantize_model.h"

namespace weir::cli {
namespace {

Error system_error(std::string_view what, const std::string& path) {
    return make_error(errno == ENOSPC ? ErrorCode::ResourceExhausted : ErrorCode::Unavailable,
                      "cannot {} {}: {}", what, path, std::strerror(errno));
}

Result<void> write_all(int fd, std::span<const std::byte> bytes, const std::string& path) {
    while (!bytes.empty()) {
        const ssize_t count = ::write(fd, bytes.data(), bytes.size());
        if (count < 0 && errno != EINTR) {
            return std::unexpected(system_error("write", path));
        }
        bytes = bytes.subspan(static_cast<size_t>(std::max<ssize_t>(count, 0)));
    }
    return {};
}

// Runs `body` in a child and says whether it went well; what went wrong, the child has said.
Result<bool> in_child(const std::function<Result<void>()>& body) {
    std::fflush(nullptr);
    const pid_t child = ::fork();
    if (child < 0) {
        return std::unexpected(system_error("start", "a process"));
    }
    if (child == 0) {
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
            return std::unexpected(system_error("wait for", "a process"));
        }
    }
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

// A file that gets its name when it is whole, and is gone otherwise.
class NewFile {
  public:
    static Result<NewFile> create(const std::string& path) {
        if (::access(path.c_str(), F_OK) == 0) {
            return weir::fail(ErrorCode::Conflict, "{} is there already", path);
        }
        NewFile file(path);
        file.fd_ =
            UniqueFd(::open(file.partial_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
        if (!file.fd_.is_open()) {
            return std::unexpected(system_error("create", file.partial_));
        }
        return file;
    }
    NewFile(NewFile&&) = default;
    NewFile& operator=(NewFile&&) = delete;
    ~NewFile() {
        if (fd_.is_open()) {
            ::unlink(partial_.c_str());
        }
    }

    int fd() const { return fd_.get(); }

    // link fails where a file has come to the name meanwhile; rename would replace it.
    Result<void> keep() {
        if (::fsync(fd_.get()) != 0 || ::link(partial_.c_str(), path_.c_str()) != 0) {
            return std::unexpected(system_error("write", path_));
        }
        return {};
    }

  private:
    explicit NewFile(const std::string& path) : path_(path), partial_(path + ".partial") {}

    std::string path_;
    std::string partial_;
    UniqueFd fd_;
};

void show_progress(uint64_t done, uint64_t total) {
    if (::isatty(STDERR_FILENO) != 0) {
        std::fprintf(
            stderr, "\r%3d %%%s",
            static_cast<int>(100.0 * static_cast<double>(done) / static_cast<double>(total)),
            done == total ? "\n" : "");
    }
}

}  // namespace

Result<void> quantize(const ModelAccess& access, const QuantizeOptions& options) {
    const auto type = model::file_type_of(options.type);
    if (!type) {
        return invalid_argument("TYPE", "unknown type {}; there are Q8_0, Q4_0, Q4_K_M and Q6_K",
                                options.type);
    }
    WEIR_TRY_ASSIGN(NewFile out, NewFile::create(options.out));
    const auto write = [&]() -> Result<void> {
        WEIR_TRY_ASSIGN(const auto source, access.open(options.in));
        if (source->gguf() == nullptr) {
            return unsupported("{} is a folder; only GGUF files can be quantized", options.in);
        }
        kernels::ThreadPool pool(options.threads.value_or(std::thread::hardware_concurrency()));
        return model::quantize_model(
            *source->gguf(), *type, pool,
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
