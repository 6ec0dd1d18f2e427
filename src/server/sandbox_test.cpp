#include "server/sandbox.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <thread>

namespace weir::server {
namespace {

// Runs `attempt` sandboxed in a child; true if it answered true.
template <typename Attempt>
bool in_sandbox(Attempt attempt) {
    const pid_t child = ::fork();
    if (child == 0) {
        const bool good = enter_sandbox() && attempt();
        ::_exit(good ? 0 : 1);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

bool refused(long result) {
    return result < 0 && errno == EPERM;
}

TEST(Sandbox, NoSocketCanBeMade) {
    EXPECT_TRUE(in_sandbox([] {
        return refused(::socket(AF_INET, SOCK_STREAM, 0)) &&
               refused(::socket(AF_INET6, SOCK_DGRAM, 0)) &&
               refused(::socket(AF_UNIX, SOCK_STREAM, 0)) &&
               refused(::socket(AF_NETLINK, SOCK_RAW, 0));
    }));
}

TEST(Sandbox, NoFileCanBeWritten) {
    EXPECT_TRUE(in_sandbox([] {
        return refused(::open("/tmp/weir_sandbox_test", O_WRONLY | O_CREAT, 0600)) &&
               refused(::open("/tmp", O_RDWR | O_TMPFILE, 0600)) && refused(::unlink("/tmp/none"));
    }));
}

TEST(Sandbox, NoProgramCanBeStarted) {
    EXPECT_TRUE(in_sandbox(
        [] { return refused(::fork()) && refused(::execl("/bin/true", "true", nullptr)); }));
}

TEST(Sandbox, ReadingMemoryAndThreadsStillWork) {
    EXPECT_TRUE(in_sandbox([] {
        const int fd = ::open("/etc/passwd", O_RDONLY);
        void* page = ::mmap(nullptr, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
        bool ran = false;
        std::thread([&] { ran = true; }).join();
        return fd >= 0 && page != MAP_FAILED && ran;
    }));
}

}  // namespace
}  // namespace weir::server
