#include "server/subprocess.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>

#include "base/mutex.h"

extern "C" char** environ;

namespace weir::server {
namespace {

constexpr size_t kLineBytesMax = size_t{64} << 10;

// All that a child learns of our environment. It reads hostile files, and ours holds the keys of
// the providers: what is not named here stays here.
constexpr std::array<std::string_view, 15> kPassedOn = {"PATH",
                                                        "LANG",
                                                        "LANGUAGE",
                                                        "TZ",
                                                        "TZDIR",
                                                        "TMPDIR",
                                                        "WEIR_CPU",
                                                        "WEIR_LOG",
                                                        "WEIR_FAILPOINTS",
                                                        "ASAN_OPTIONS",
                                                        "LSAN_OPTIONS",
                                                        "TSAN_OPTIONS",
                                                        "UBSAN_OPTIONS",
                                                        "LD_LIBRARY_PATH",
                                                        "MALLOC_ARENA_MAX"};

std::vector<char*> passed_on_environment() {
    std::vector<char*> out;
    for (char** variable = environ; variable != nullptr && *variable != nullptr; ++variable) {
        const std::string_view text = *variable;
        const std::string_view name = text.substr(0, text.find('='));
        if (name.starts_with("LC_") ||
            std::find(kPassedOn.begin(), kPassedOn.end(), name) != kPassedOn.end()) {
            out.push_back(*variable);
        }
    }
    out.push_back(nullptr);
    return out;
}

struct Pipe {
    UniqueFd read_end;
    UniqueFd write_end;
};

Result<Pipe> make_pipe() {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) {
        return fail(ErrorCode::ResourceExhausted, "cannot make a pipe: {}", std::strerror(errno));
    }
    return Pipe{UniqueFd(ends[0]), UniqueFd(ends[1])};
}

// Reads up to the first newline; what was read until then if there is none.
std::string read_line(int fd) {
    std::string line;
    std::array<char, 4096> buffer{};
    while (line.size() < kLineBytesMax) {
        const ssize_t count = ::read(fd, buffer.data(), buffer.size());
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count <= 0) {
            return line;
        }
        line.append(buffer.data(), static_cast<size_t>(count));
        if (const size_t end = line.find('\n'); end != std::string::npos) {
            line.resize(end);
            return line;
        }
    }
    return line;
}

class SpawnActions {
  public:
    SpawnActions() { posix_spawn_file_actions_init(&actions_); }
    SpawnActions(const SpawnActions&) = delete;
    SpawnActions& operator=(const SpawnActions&) = delete;
    ~SpawnActions() { posix_spawn_file_actions_destroy(&actions_); }

    // A descriptor that keeps its number would keep CLOEXEC as well, so it goes through another.
    void give(int from, int to) { posix_spawn_file_actions_adddup2(&actions_, from, to); }
    const posix_spawn_file_actions_t* get() const { return &actions_; }

  private:
    posix_spawn_file_actions_t actions_;
};

// Signals as a program expects to find them, whatever we do with ours: we block SIGTERM to take it
// from a queue, and a child that inherited that could only be ended with SIGKILL. SIGINT stays
// blocked: a terminal sends it to our whole process group, and it is meant for us, who let the
// children finish.
class SpawnSignals {
  public:
    SpawnSignals() {
        posix_spawnattr_init(&attributes_);
        sigset_t blocked;
        ::sigemptyset(&blocked);
        ::sigaddset(&blocked, SIGINT);
        posix_spawnattr_setsigmask(&attributes_, &blocked);
        sigset_t defaults;
        ::sigemptyset(&defaults);
        ::sigaddset(&defaults, SIGTERM);
        ::sigaddset(&defaults, SIGPIPE);
        posix_spawnattr_setsigdefault(&attributes_, &defaults);
        posix_spawnattr_setflags(&attributes_, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    }
    SpawnSignals(const SpawnSignals&) = delete;
    SpawnSignals& operator=(const SpawnSignals&) = delete;
    ~SpawnSignals() { posix_spawnattr_destroy(&attributes_); }

    const posix_spawnattr_t* get() const { return &attributes_; }

  private:
    posix_spawnattr_t attributes_;
};

}  // namespace

// Whether the child has been waited for; afterwards its number may belong to somebody else.
struct Subprocess::State {
    Mutex mutex;
    bool reaped WEIR_GUARDED_BY(mutex) = false;
};

Result<std::unique_ptr<Subprocess>> Subprocess::start(const std::vector<std::string>& arguments,
                                                      Callbacks callbacks) {
    WEIR_TRY_ASSIGN(Pipe input, make_pipe());
    WEIR_TRY_ASSIGN(Pipe lines, make_pipe());
    // Numbers above those that the child gets, so that no dup2 overwrites what a later one needs.
    const UniqueFd child_input(::fcntl(input.read_end.get(), F_DUPFD_CLOEXEC, 10));
    const UniqueFd child_lines(::fcntl(lines.write_end.get(), F_DUPFD_CLOEXEC, 10));
    if (!child_input.is_open() || !child_lines.is_open()) {
        return fail(ErrorCode::ResourceExhausted, "no file descriptor is left for a worker");
    }
    SpawnActions actions;
    actions.give(child_input.get(), STDIN_FILENO);
    actions.give(STDERR_FILENO, STDOUT_FILENO);
    actions.give(child_lines.get(), kLineDescriptor);

    std::vector<char*> argv;
    for (const std::string& argument : arguments) {
        argv.push_back(const_cast<char*>(argument.c_str()));
    }
    argv.push_back(nullptr);
    std::vector<char*> environment = passed_on_environment();
    const SpawnSignals signals;
    pid_t pid = 0;
    const int error =
        ::posix_spawn(&pid, argv[0], actions.get(), signals.get(), argv.data(), environment.data());
    if (error != 0) {
        return fail(ErrorCode::Unavailable, "cannot start a worker: {}", std::strerror(error));
    }
    return std::unique_ptr<Subprocess>(new Subprocess(
        pid, std::move(input.write_end), std::move(lines.read_end), std::move(callbacks)));
}

Subprocess::Subprocess(pid_t pid, UniqueFd input, UniqueFd lines, Callbacks callbacks)
    : pid_(pid),
      input_(std::move(input)),
      state_(std::make_shared<State>()),
      waiter_([pid, state = state_, lines = std::move(lines), callbacks = std::move(callbacks)] {
          std::string line = read_line(lines.get());
          if (!line.empty()) {
              callbacks.on_line(std::move(line));
          }
          siginfo_t info{};
          while (::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT) != 0 &&
                 errno == EINTR) {
          }
          int status = 0;
          {
              const MutexLock lock(state->mutex);
              ::waitpid(pid, &status, 0);
              state->reaped = true;
          }
          callbacks.on_exit(status);
      }) {}

Subprocess::~Subprocess() {
    signal(SIGKILL);
    waiter_.join();
}

void Subprocess::signal(int number) const {
    const MutexLock lock(state_->mutex);
    if (!state_->reaped) {
        ::kill(pid_, number);
    }
}

std::string describe_exit(int status) {
    return WIFSIGNALED(status) ? fmt::format("signal {}", WTERMSIG(status))
                               : fmt::format("exit status {}", WEXITSTATUS(status));
}

}  // namespace weir::server
