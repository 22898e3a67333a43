#include <poll.h>

#include <cstdlib>
#include <future>
#include <ostream>

#include "agent/copy_parts.h"

// A copy by MySQL's CLONE: the own server fetches the donor's files and restarts on them. Where nobody restarts it
// (error 3707) it ends, and this program waits until somebody has started it again.
namespace ringagent::copying {
namespace {

constexpr Duration kForDays = std::chrono::hours(24 * 30);
constexpr int kTickMs = 300;
constexpr Duration kRemindAfter = 6s;
constexpr Duration kCutOff = 60s;
constexpr unsigned kCannotRestart = 3707;
constexpr unsigned kShuttingDown = 1053;

using State = CloneStatus::State;

class CloneCopy {
 public:
  CloneCopy(const CopyJob& job, CopyTarget& local, const CopyScreen& screen, const Interrupt& interrupt)
      : job_(job), local_(local), screen_(screen), interrupt_(interrupt) {}

  Result<void> run() {
    const auto began = clone_begun(local_, job_.state_dir);
    const auto status = clone_status(local_.client);
    if (!status) return tl::unexpected(status.error());
    const bool ours = began > 0 && status->begun_unix >= began;
    if (ours && status->state == State::running && status->alive) {
      screen_.out << "a clone is under way since an earlier run: waiting for it\n" << std::flush;
      if (auto over = await_clone(nullptr); !over) return over;
    } else if (!(ours && status->state == State::completed)) {
      if (auto done = clone(); !done) return done;
    }
    return settle();
  }

 private:
  static Result<CloneStatus> clone_status(Client& client) {
    const auto rows = client.query(clone_status_query(), kQuick);
    constexpr unsigned kNoTable = 1146;  // it comes with the plugin
    if (!rows && rows.error().number == kNoTable) return CloneStatus{};
    if (!rows) return fail("the server does not tell of its clones: " + rows.error().text);
    return read_clone_status(*rows);
  }

  // False: time to go.
  bool pause() const {
    pollfd one{interrupt_.fd(), POLLIN, 0};
    return ::poll(&one, 1, kTickMs) == 0;
  }

  Result<void> prepare() {
    auto donor = connect_donor(job_, interrupt_);
    if (!donor) return tl::unexpected(donor.error());
    const Version version = parse_version(donor->server_version());
    if (version.flavor != local_.version.flavor)
      return fail(job_.donor_name + " is " + version.text + " and this server is " + local_.version.text +
                  ": a ring has one flavour");
    if (auto may = check_privileges(*donor, job_, version, CopyMethod::clone); !may) return may;
    const auto plugin =
        question(local_.client, "SELECT 1 FROM information_schema.PLUGINS WHERE PLUGIN_NAME = 'clone'", "the server");
    if (!plugin) return tl::unexpected(plugin.error());
    if (plugin->rows.empty()) {
      if (auto there = run_with_writes(local_, {"INSTALL PLUGIN clone SONAME 'mysql_clone.so'"}); !there) return there;
    }
    if (job_.donor.tls == TlsMode::verify_ca) {
      const auto ca = "SET GLOBAL clone_ssl_ca = " + quote(job_.donor.ca_file);
      if (auto set = run_all(local_.client, {ca}, kQuick); !set) return set;
    }
    return run_all(local_.client, allow_donor(job_.donor.address), kQuick);
  }

  Result<void> clone() {
    if (auto ready = prepare(); !ready) return ready;
    if (auto marked = write_mark(local_, job_, CopyMethod::clone, CopyState::begun); !marked) return marked;
    // CLONE drops what is there, and is under super_read_only like any administrator; read_only stays.
    if (auto lifted = run_all(local_.client, {"SET GLOBAL super_read_only = 0"}, kQuick); !lifted) return lifted;
    auto done = carry_out();
    if (done || !local_.client.usable()) return done;
    if (auto shut = run_all(local_.client, {"SET GLOBAL super_read_only = 1"}, kQuick); !shut)
      screen_.out << shut.error().text << "\n";
    return done;
  }

  Result<void> carry_out() {
    auto worker = Client::connect(job_.local, kConnect);
    if (!worker) return fail("the own server lets nobody in: " + worker.error().text);
    const Statement statement =
        clone_statement(job_.donor.address, job_.donor.user, job_.donor.password, job_.donor.tls);
    const auto id = worker->connection_id();
    auto answer = std::async(std::launch::async, [&] {
      auto done = worker->query(statement.sql, kForDays);
      Client::leave_thread();
      return done;
    });
    auto over = await_clone(&answer);
    if (!over && interrupt_.raised()) {
      // Else it would go on without anybody who looks at it.
      if (auto killed = local_.client.query("KILL QUERY " + std::to_string(id), kQuick); !killed)
        screen_.out << "the clone could not be stopped: " << killed.error().text << "\n";
    }
    if (answer.valid()) answer.wait();
    return over;
  }

  // Until the clone has ended, well or not; shows how far it is. `answer`: of the statement, if it was given here.
  Result<void> await_clone(std::future<SqlResult<Rows>>* answer) {
    Progress progress("cloning " + job_.donor_name, screen_.terminal, screen_.width, now());
    while (true) {
      if (!pause()) return fail(kInterrupted);
      if (answer != nullptr && answer->wait_for(0s) == std::future_status::ready) {
        screen_.out << progress.end(now()) << std::flush;
        return outcome(answer->get());
      }
      const auto rows = local_.client.query(clone_progress_query(), kQuick);
      if (rows) {
        const auto number = [&](const char* column) {
          return std::strtoull(rows->text(0, {column}).c_str(), nullptr, 10);
        };
        screen_.out << progress.update(number("done"), number("total"), now()) << std::flush;
      }
      if (answer != nullptr) continue;
      const auto status = clone_status(local_.client);
      if (!local_.client.usable() || (status && !status->alive)) break;
    }
    screen_.out << progress.leave() << std::flush;
    return {};
  }

  Result<void> outcome(const SqlResult<Rows>& answer) const {
    if (answer) return {};
    const SqlError& error = answer.error();
    const bool restarts =
        error.number == kCannotRestart || error.number == kShuttingDown || error.kind == SqlErrorKind::lost;
    if (restarts) return {};
    const std::string advice = copy_advice(error.text, job_.donor_name);
    return fail("the clone of " + job_.donor_name + " failed: " + error.text + (advice.empty() ? "" : "; " + advice));
  }

  // Looks once; true: it is up again on the copy.
  Result<bool> is_back() {
    auto fresh = look_at_local(job_.local);
    if (!fresh && fresh.error().text.find("Access denied") != std::string::npos)
      return fail(fresh.error().text + "; the accounts are those of " + job_.donor_name +
                  " now: log in as its administrator does");
    if (!fresh) return false;
    const auto status = clone_status(fresh->client);
    if (!status) return false;
    if (status->state == State::completed) {
      local_ = std::move(*fresh);
      return true;
    }
    // Until it goes down, and while it comes up, the clone is not over. One that nobody carries out has been cut off.
    if (reached_ == Time{0}) reached_ = now();
    const bool failed = status->state == State::failed && status->number != kCannotRestart;
    if (failed || (!status->alive && now() - reached_ > kCutOff))
      return fail("the clone of " + job_.donor_name + " did not come to its end: " +
                  (status->error.empty() ? "the server was stopped before" : status->error));
    return false;
  }

  Result<void> await_server() {
    const Time since = now();
    bool said = false;
    while (true) {
      const auto back = is_back();
      if (!back) return tl::unexpected(back.error());
      if (*back) return {};
      if (!said && now() - since > kRemindAfter) {
        said = true;
        screen_.out << "the copy is complete, and mysqld has to be started on it: where nothing restarts it, start it "
                       "now (systemctl start mysql); waiting for it\n"
                    << std::flush;
      }
      if (!pause()) return fail(kInterrupted);
    }
  }

  Result<void> settle() {
    if (auto back = await_server(); !back) return back;
    if (auto done = settle_agent_account(local_, job_); !done) return done;
    const auto events = question(local_.client, events_query(), "the server");
    if (!events) return tl::unexpected(events.error());
    if (auto done = settle_events(local_, *events, kept_events(job_.state_dir), screen_.out); !done) return done;
    if (auto done = run_all(local_.client, forget_link(local_.version), kLong); !done) return done;
    return write_mark(local_, job_, CopyMethod::clone, CopyState::complete);
  }

  const CopyJob& job_;
  CopyTarget& local_;
  const CopyScreen& screen_;
  const Interrupt& interrupt_;
  Time reached_{0};  // since when the server answers and says that the clone is not over
};

}  // namespace

Result<void> copy_by_clone(const CopyJob& job, CopyTarget& local, const CopyScreen& screen,
                           const Interrupt& interrupt) {
  return CloneCopy(job, local, screen, interrupt).run();
}

}  // namespace ringagent::copying
