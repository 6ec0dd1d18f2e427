#pragma once

// The only headers of this house that show Asio are this one and what includes it: loop.cpp and
// transport.cpp. Each costs the compiler many seconds.
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/strand.hpp>
#include <thread>
#include <vector>

#include "base/mutex.h"
#include "net/loop.h"

namespace weir::net {

namespace asio = boost::asio;

using Executor = asio::strand<asio::io_context::executor_type>;

struct Loop::Impl {
    explicit Impl(LoopOptions given)
        : options(given),
          context(static_cast<int>(given.threads)),
          work(asio::make_work_guard(context)) {}

    LoopOptions options;
    asio::io_context context;
    asio::executor_work_guard<asio::io_context::executor_type> work;
    Mutex mutex;
    std::vector<std::thread> threads WEIR_GUARDED_BY(mutex);
};

class AsioStrand final : public Strand {
  public:
    explicit AsioStrand(asio::io_context& context) : executor(asio::make_strand(context)) {}

    void dispatch(Task task) override;
    void post(Task task) override;
    std::unique_ptr<Timer> make_timer() override;

    const Executor executor;
};

// Every strand is made by Loop::make_strand().
inline const Executor& executor_of(Strand& strand) {
    return static_cast<AsioStrand&>(strand).executor;
}

}  // namespace weir::net
