#pragma once

#include <string>
#include <vector>

#include "agent/copy.h"

// What the two ways of copying share; for agent/copy*.cpp only.
namespace ringagent::copying {

inline constexpr Duration kConnect = 10s;
inline constexpr Duration kQuick = 30s;  // a statement that has nothing to wait for
inline constexpr Duration kLong = std::chrono::hours(1);

inline constexpr const char* kInterrupted = "interrupted";

Time now();

// One statement after another; the first failure ends it and names the statement, unless `what` names them all: then it
// holds what must not be shown.
Result<void> run_all(Client& client, const std::vector<std::string>& statements, Duration deadline,
                     const std::string& what = "");
Result<Rows> question(Client& client, const std::string& sql, const std::string& who);

// MySQL's administrators are under super_read_only, too: lifted for these statements only. read_only stays.
Result<void> run_with_writes(CopyTarget& local, const std::vector<std::string>& statements,
                             const std::string& what = "");

Result<void> write_mark(CopyTarget& local, const CopyJob& job, CopyMethod method, CopyState state);
// The server's clock when the clone of the mark was begun; 0: none.
std::int64_t clone_begun(const CopyTarget& local, const std::string& state_dir);

// The events that are there before a copy begins, in the state directory until it is over.
Result<void> keep_events(CopyTarget& local, const std::string& state_dir);
EventsBefore kept_events(const std::string& state_dir);
// Events as the copy brings them, each to run on one node only.
Result<void> settle_events(CopyTarget& local, const Rows& events, const EventsBefore& before, std::ostream& out);
// After a copy that brought the donor's accounts: the agent's own must be able to log in.
Result<void> settle_agent_account(CopyTarget& local, const CopyJob& job);

Result<Client> connect_donor(const CopyJob& job, const Interrupt& interrupt);
Result<void> check_privileges(Client& donor, const CopyJob& job, const Version& version, CopyMethod method);

Result<void> copy_by_dump(const CopyJob& job, CopyTarget& local, const CopyScreen& screen, const Interrupt& interrupt);
Result<void> copy_by_clone(const CopyJob& job, CopyTarget& local, const CopyScreen& screen, const Interrupt& interrupt);

}  // namespace ringagent::copying
