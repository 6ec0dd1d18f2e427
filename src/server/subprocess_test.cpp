#include "server/subprocess.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>

#include <cstdlib>
#include <fstream>
#include <future>
#include <iterator>

namespace weir::server {
namespace {

struct Watched {
    std::promise<std::string> line;
    std::promise<int> exit;

    Subprocess::Callbacks callbacks() {
        return {[this](std::string text) { line.set_value(std::move(text)); },
                [this](int status) {
                    exit.set_value(status);
                }};
    }
};

TEST(Subprocess, GivesTheFirstLineAndTheExitStatus) {
    Watched watched;
    const auto child = Subprocess::start({"/bin/sh", "-c", "echo ready >&3; echo more >&3; exit 7"},
                                         watched.callbacks());
    ASSERT_TRUE(child);
    EXPECT_EQ(watched.line.get_future().get(), "ready");
    EXPECT_EQ(describe_exit(watched.exit.get_future().get()), "exit status 7");
}

TEST(Subprocess, EndsItsInputAndItsLifeWithItself) {
    Watched watched;
    auto child =
        Subprocess::start({"/bin/sh", "-c", "echo up >&3; cat >/dev/null"}, watched.callbacks());
    ASSERT_TRUE(child);
    EXPECT_EQ(watched.line.get_future().get(), "up");
    child->reset();
    EXPECT_EQ(describe_exit(watched.exit.get_future().get()), "signal 9");
}

TEST(Subprocess, KeepsOurKeysToItself) {
    ::setenv("OPENAI_API_KEY", "sk-secret", 1);
    ::setenv("WEIR_CPU", "baseline", 1);
    ::setenv("LC_TIME", "C", 1);
    Watched watched;
    auto child =
        Subprocess::start({"/bin/sh", "-c", "echo up >&3; cat >/dev/null"}, watched.callbacks());
    ::unsetenv("OPENAI_API_KEY");
    ::unsetenv("WEIR_CPU");
    ::unsetenv("LC_TIME");
    ASSERT_TRUE(child);
    EXPECT_EQ(watched.line.get_future().get(), "up");
    std::ifstream file("/proc/" + std::to_string((*child)->pid()) + "/environ");
    const std::string environment(std::istreambuf_iterator<char>(file), {});
    EXPECT_EQ(environment.find("secret"), std::string::npos);
    EXPECT_EQ(environment.find("HOME="), std::string::npos);
    EXPECT_NE(environment.find("WEIR_CPU=baseline"), std::string::npos);
    EXPECT_NE(environment.find("LC_TIME=C"), std::string::npos);
    EXPECT_NE(environment.find("PATH="), std::string::npos);
}

// The gateway blocks both signals in all of its threads.
TEST(Subprocess, AChildThatHangsCanBeAskedToEndAlthoughWeBlockTheSignal) {
    sigset_t signals;
    sigset_t before;
    ::sigemptyset(&signals);
    ::sigaddset(&signals, SIGTERM);
    ::sigaddset(&signals, SIGINT);
    ::pthread_sigmask(SIG_BLOCK, &signals, &before);
    Watched watched;
    auto child =
        Subprocess::start({"/bin/sh", "-c", "echo up >&3; cat >/dev/null"}, watched.callbacks());
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    ASSERT_TRUE(child);
    EXPECT_EQ(watched.line.get_future().get(), "up");
    (*child)->signal(SIGINT);  // as a terminal would; does nothing
    (*child)->signal(SIGTERM);
    EXPECT_EQ(describe_exit(watched.exit.get_future().get()), "signal 15");
}

TEST(Subprocess, AProgramThatIsNotThereIsAnError) {
    Watched watched;
    EXPECT_FALSE(Subprocess::start({"/nonexistent/program"}, watched.callbacks()));
}

}  // namespace
}  // namespace weir::server
