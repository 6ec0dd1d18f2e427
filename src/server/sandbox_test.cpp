#include "server/sandbox.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/openat2.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <string>
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

// O_RDONLY is 0: the flags that truncate and create do their work beside it.
TEST(Sandbox, OpeningForReadingNeitherTruncatesNorCreates) {
    const auto folder = std::filesystem::path(::testing::TempDir());
    const std::string name = "weir_sandbox_" + std::to_string(::getpid());
    const std::string there = folder / name;
    const std::string absent = folder / (name + "_absent");
    std::ofstream(there) << "kept";
    EXPECT_TRUE(in_sandbox([&] {
        return refused(::open(there.c_str(), O_RDONLY | O_TRUNC)) &&
               refused(::open(absent.c_str(), O_RDONLY | O_CREAT, 0600)) &&
               refused(::syscall(SYS_open, there.c_str(), O_RDONLY | O_TRUNC)) &&
               refused(::syscall(SYS_open, there.c_str(), O_ACCMODE)) &&
               refused(::truncate(there.c_str(), 0)) &&
               ::open(there.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW) >= 0;
    }));
    EXPECT_EQ(std::filesystem::file_size(there), 4u);
    EXPECT_FALSE(std::filesystem::exists(absent));
    std::filesystem::remove(there);
}

TEST(Sandbox, OpeningByADescriptionInMemoryIsNotThere) {
    EXPECT_TRUE(in_sandbox([] {
        open_how how{};
        return ::syscall(SYS_openat2, AT_FDCWD, "/etc/passwd", &how, sizeof how) < 0 &&
               errno == ENOSYS;
    }));
}

TEST(Sandbox, OtherProcessesCannotBeTouched) {
    const pid_t other = ::getpid();  // the sandboxed child's parent: us
    EXPECT_TRUE(in_sandbox([&] {
        rlimit limit{};
        siginfo_t info{};
        info.si_code = SI_QUEUE;
        return refused(::kill(other, 0)) && refused(::kill(0, 0)) && refused(::kill(-1, 0)) &&
               refused(::syscall(SYS_tkill, other, 0)) &&
               refused(::syscall(SYS_tgkill, other, other, 0)) &&
               refused(::syscall(SYS_rt_sigqueueinfo, other, 0, &info)) &&
               refused(::syscall(SYS_pidfd_open, other, 0)) &&
               refused(::prlimit(other, RLIMIT_NOFILE, nullptr, &limit)) &&
               refused(::prlimit(0, RLIMIT_NOFILE, &limit, nullptr)) &&
               refused(::ptrace(PTRACE_ATTACH, other, nullptr, nullptr)) &&
               refused(::process_vm_readv(other, nullptr, 0, nullptr, 0, 0)) &&
               refused(::setpriority(PRIO_PROCESS, static_cast<id_t>(other), 19)) &&
               refused(::fcntl(STDIN_FILENO, F_SETOWN, other));
    }));
}

TEST(Sandbox, ItMayEndItselfAndAskForItsLimits) {
    EXPECT_TRUE(in_sandbox([] {
        rlimit limit{};
        return ::kill(::getpid(), 0) == 0 && ::prlimit(0, RLIMIT_NOFILE, nullptr, &limit) == 0;
    }));
    const pid_t child = ::fork();
    if (child == 0) {
        ::signal(SIGABRT, SIG_DFL);
        [[maybe_unused]] const auto entered = enter_sandbox();
        ::raise(SIGABRT);
        ::_exit(0);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFSIGNALED(status));
}

TEST(Sandbox, TheTerminalCannotBeTypedInto) {
    EXPECT_TRUE(in_sandbox([] {
        const char letter = 'x';
        return refused(::ioctl(STDIN_FILENO, TIOCSTI, &letter));
    }));
}

TEST(Sandbox, CanBeEnteredTwice) {
    EXPECT_TRUE(in_sandbox([] { return enter_sandbox().has_value(); }));
}

#ifndef WEIR_SANITIZED
TEST(Sandbox, WhatIsNotNamedIsNotThere) {
    EXPECT_TRUE(in_sandbox([] {
        return ::syscall(SYS_memfd_create, "x", 0) < 0 && errno == ENOSYS &&
               ::syscall(SYS_inotify_init1, 0) < 0 && errno == ENOSYS && ::syscall(100'000) < 0 &&
               errno == ENOSYS;
    }));
}
#endif

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
