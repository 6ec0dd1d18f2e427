#include "cli/spend.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>

#include <array>
#include <chrono>
#include <future>

#include "base/file.h"
#include "cli/admin.h"
#include "cli/table.h"
#include "ledger/ledger.h"
#include "store/database.h"

namespace weir::cli {
namespace {

Result<std::vector<ledger::SpendRow>> rows_of(const std::filesystem::path& file,
                                              std::chrono::system_clock::time_point since) {
    WEIR_TRY_ASSIGN(auto database, store::open_sqlite(file));
    WEIR_TRY_ASSIGN(const auto ledger, ledger::Ledger::open(std::move(database)));
    std::promise<Result<std::vector<ledger::SpendRow>>> rows;
    ledger->spend(since, [&](auto found) { rows.set_value(std::move(found)); });
    return rows.get_future().get();
}

// Reads the ledger's file while no gateway can: SQLite's file must never have two of us at once, so
// the gateway's own lock is held. Absent: somebody else holds it.
Result<std::optional<std::string>> spend_of_file(const std::filesystem::path& home,
                                                 std::chrono::system_clock::time_point since) {
    const UniqueFd lock(::open((home / "serve.lock").c_str(), O_RDWR | O_CLOEXEC));
    if (lock.is_open() && ::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
        return std::nullopt;
    }
    if (!lock.is_open() || !std::filesystem::exists(home / "weir.db")) {
        return ledger::spend_json({});  // no gateway has ever run here
    }
    WEIR_TRY_ASSIGN(const auto rows, rows_of(home / "weir.db", since));
    return ledger::spend_json(rows);
}

}  // namespace

Result<void> spend(const std::filesystem::path& home, uint32_t days, OutputForm form) {
    std::chrono::system_clock::time_point since{};
    std::string target = "/admin/spend";
    if (days > 0) {
        since = std::chrono::system_clock::now() - std::chrono::days(days);
        target += fmt::format(
            "?since={}",
            std::chrono::duration_cast<std::chrono::seconds>(since.time_since_epoch()).count());
    }
    Result<std::string> answer = ask_gateway(home, "GET", target);
    if (!answer) {
        WEIR_TRY_ASSIGN(auto from_file, spend_of_file(home, since));
        if (from_file) {
            answer = *std::move(from_file);
        }
    }
    if (!answer) {
        return std::unexpected(std::move(answer).error());
    }
    constexpr std::array kColumns = std::to_array<Column>({{"backend", "BACKEND", 20},
                                                           {"model", "MODEL", 24},
                                                           {"requests", "REQUESTS", 9},
                                                           {"prompt_tokens", "TOKENS IN", 12},
                                                           {"cached_tokens", "CACHED", 12},
                                                           {"completion_tokens", "TOKENS OUT", 12},
                                                           {"cost", "COST", 16}});
    return print_table(*answer, "spend", kColumns, form);
}

}  // namespace weir::cli
