#include "cli/background.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>

#include "base/file.h"

namespace weir::cli {
namespace {

void detach(const std::filesystem::path& log) {
    ::setsid();
    const int null = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    const int out = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    ::dup2(null, STDIN_FILENO);
    ::dup2(out, STDOUT_FILENO);
    ::dup2(out, STDERR_FILENO);
}

std::string read_all(int fd) {
    std::string text;
    std::array<char, 4096> buffer{};
    while (true) {
        const ssize_t count = ::read(fd, buffer.data(), buffer.size());
        if (count <= 0) {
            return text;
        }
        text.append(buffer.data(), static_cast<size_t>(count));
    }
}

}  // namespace

int run_in_background(const std::filesystem::path& log,
                      const std::function<int(std::function<void(std::string)> ready)>& body) {
    std::error_code ignored;
    std::filesystem::create_directories(log.parent_path(), ignored);
    std::filesystem::remove(log, ignored);
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) {
        std::perror("weir: pipe");
        return 1;
    }
    const UniqueFd from_child(ends[0]);
    UniqueFd to_parent(ends[1]);
    const pid_t child = ::fork();
    if (child < 0) {
        std::perror("weir: fork");
        return 1;
    }
    if (child == 0) {
        detach(log);
        const int status = body([&to_parent](const std::string& text) {
            const ssize_t written = ::write(to_parent.get(), text.data(), text.size());
            (void)written;  // the parent may have been stopped; the server goes on
            to_parent = UniqueFd();
        });
        std::fflush(nullptr);
        ::_exit(status);
    }
    to_parent = UniqueFd();
    const std::string text = read_all(from_child.get());
    if (!text.empty()) {
        std::fwrite(text.data(), 1, text.size(), stdout);
        return 0;
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    const auto said = read_file(log, size_t{1} << 20);
    std::fputs(said ? said->c_str() : "weir: the server ended at once\n", stderr);
    return WIFEXITED(status) && WEXITSTATUS(status) != 0 ? WEXITSTATUS(status) : 1;
}

}  // namespace weir::cli
