#include "server/subprocess.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>

#include <future>

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

TEST(Subprocess, AProgramThatIsNotThereIsAnError) {
    Watched watched;
    EXPECT_FALSE(Subprocess::start({"/nonexistent/program"}, watched.callbacks()));
}

}  // namespace
}  // namespace weir::server
