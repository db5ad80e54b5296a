//! What the built-in assistant says, in English and in Urdu.

use serde_json::Value as Json;

use super::intent::Which;

/// The language of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speech {
    /// English.
    English,
    /// Urdu, in its own script.
    Urdu,
}

impl Speech {
    /// Answers in the script of the question.
    pub fn of(message: &str) -> Self {
        let arabic = |c: char| ('\u{600}'..='\u{6ff}').contains(&c);
        if message.chars().any(arabic) {
            Self::Urdu
        } else {
            Self::English
        }
    }

    fn pick<'a>(self, english: &'a str, urdu: &'a str) -> &'a str {
        match self {
            Self::English => english,
            Self::Urdu => urdu,
        }
    }

    pub fn added(self, result: &Json, due: Option<&jiff::Zoned>) -> String {
        let (id, title) = (&result["task_id"], title(result));
        let due = due.map(|due| due.strftime("%A, %-d %B, %H:%M").to_string());
        match (self, due) {
            (Self::English, None) => format!("Added “{title}” as task {id}."),
            (Self::English, Some(due)) => format!("Added “{title}” as task {id}, due {due}."),
            (Self::Urdu, None) => format!("“{title}” کام نمبر {id} کے طور پر شامل کر دیا گیا۔"),
            (Self::Urdu, Some(due)) => {
                format!("“{title}” کام نمبر {id} شامل کر دیا گیا، وقت: {due}۔")
            }
        }
    }

    pub fn done(self, result: &Json) -> String {
        let (id, title) = (&result["task_id"], title(result));
        match (self, result["status"].as_str().unwrap_or_default()) {
            (Self::English, "completed") => format!("Done: task {id}, “{title}”."),
            (Self::English, "deleted") => format!("Deleted task {id}, “{title}”."),
            (Self::English, _) => format!("Changed task {id}: it is now “{title}”."),
            (Self::Urdu, "completed") => format!("کام نمبر {id} “{title}” مکمل ہو گیا۔"),
            (Self::Urdu, "deleted") => format!("کام نمبر {id} “{title}” حذف کر دیا گیا۔"),
            (Self::Urdu, _) => format!("کام نمبر {id} اب “{title}” ہے۔"),
        }
    }

    pub fn reopened(self, result: &Json) -> String {
        let (id, title) = (&result["task_id"], title(result));
        match self {
            Self::English => format!("Task {id}, “{title}”, is open again."),
            Self::Urdu => format!("کام نمبر {id} “{title}” دوبارہ کھل گیا۔"),
        }
    }

    pub fn welcome(self) -> String {
        self.pick("You are welcome.", "خوش رہیں۔").to_owned()
    }

    pub fn listed(self, which: Which, tasks: &[Json]) -> String {
        if tasks.is_empty() {
            let english = match which {
                Which::All => "You have no tasks yet.",
                Which::Pending => "Nothing is pending. Well done!",
                Which::Completed => "Nothing is completed yet.",
                Which::Overdue => "Nothing is overdue.",
                Which::Today => "Nothing is due today.",
            };
            return self.pick(english, "کوئی کام نہیں ہے۔").to_owned();
        }
        let kind = match which {
            Which::All => self.pick("tasks", "کام"),
            Which::Pending => self.pick("pending tasks", "باقی کام"),
            Which::Completed => self.pick("completed tasks", "مکمل کام"),
            Which::Overdue => self.pick("overdue tasks", "تاخیر والے کام"),
            Which::Today => self.pick("tasks due today", "آج کے کام"),
        };
        let kind = if tasks.len() == 1 {
            kind.replacen("tasks", "task", 1)
        } else {
            kind.to_owned()
        };
        let head = match self {
            Self::English => format!("You have {} {kind}:", tasks.len()),
            Self::Urdu => format!("آپ کے {} {kind} ہیں:", tasks.len()),
        };
        format!("{head}\n{}", lines(tasks))
    }

    pub fn counted(self, stats: &Json) -> String {
        let [total, completed, pending, overdue] = ["total", "completed", "pending", "overdue"]
            .map(|key| stats[key].as_i64().unwrap_or_default());
        match self {
            Self::English => format!(
                "{total} tasks: {completed} completed, {pending} pending, {overdue} overdue."
            ),
            Self::Urdu => {
                format!("کل {total} کام: {completed} مکمل، {pending} باقی، {overdue} تاخیر والے۔")
            }
        }
    }

    pub fn which_one(self, tasks: &[Json]) -> String {
        let head = self.pick(
            "Several tasks fit. Which one do you mean?",
            "کئی کام ملے۔ آپ کا مطلب کون سا ہے؟",
        );
        format!("{head}\n{}", lines(tasks))
    }

    pub fn sure(self, tool: &str, tasks: &[Json]) -> String {
        let head = match (self, tool) {
            (Self::English, "delete_task") => {
                format!("This would delete {} tasks. Are you sure?", tasks.len())
            }
            (Self::English, _) => {
                format!("This would complete {} tasks. Are you sure?", tasks.len())
            }
            (Self::Urdu, "delete_task") => format!(
                "اس سے {} کام حذف ہو جائیں گے۔ کیا آپ کو یقین ہے؟",
                tasks.len()
            ),
            (Self::Urdu, _) => format!(
                "اس سے {} کام مکمل ہو جائیں گے۔ کیا آپ کو یقین ہے؟",
                tasks.len()
            ),
        };
        format!("{head}\n{}", lines(tasks))
    }

    pub fn not_found(self, name: &str) -> String {
        match self {
            Self::English => format!("I found no task about “{name}”."),
            Self::Urdu => format!("“{name}” کے بارے میں کوئی کام نہیں ملا۔"),
        }
    }

    pub fn refused(self, reason: &str) -> String {
        match self {
            Self::English => format!("That did not work: {reason}."),
            Self::Urdu => format!("یہ نہیں ہو سکا: {reason}"),
        }
    }

    pub fn none_of_these(self) -> String {
        self.pick(
            "That is none of the tasks I asked about.",
            "یہ ان کاموں میں سے نہیں ہے۔",
        )
        .to_owned()
    }

    pub fn say_again(self) -> String {
        self.pick(
            "Please say it again with the number of the task.",
            "براہ کرم کام کے نمبر کے ساتھ دوبارہ کہیں۔",
        )
        .to_owned()
    }

    pub fn left_alone(self) -> String {
        self.pick(
            "All right, nothing was changed.",
            "ٹھیک ہے، کچھ نہیں بدلا گیا۔",
        )
        .to_owned()
    }

    pub fn greeting(self) -> String {
        let english = "Hello! Tell me what you want to remember, or ask what is pending.";
        self.pick(
            english,
            "السلام علیکم! بتائیں کیا یاد رکھنا ہے، یا پوچھیں کہ کیا باقی ہے۔",
        )
        .to_owned()
    }

    pub fn help(self) -> String {
        let english = "You can say: “Add a task to buy groceries tomorrow at 5pm”, “What's pending?”, \
             “Mark task 3 as complete”, “Delete the meeting task”, “Change task 1 to Call mom”.";
        let urdu = "آپ کہہ سکتے ہیں: “دودھ خریدنا شامل کرو”، “باقی کام دکھاؤ”، “کام 3 مکمل کرو”، “کام 2 حذف کرو”۔";
        self.pick(english, urdu).to_owned()
    }

    pub fn not_understood(self) -> String {
        let english = "I did not understand that.";
        format!(
            "{} {}",
            self.pick(english, "میں سمجھ نہیں سکا۔"),
            self.help()
        )
    }
}

fn title(result: &Json) -> &str {
    result["title"].as_str().unwrap_or_default()
}

fn lines(tasks: &[Json]) -> String {
    let line = |task: &Json| {
        let tick = if task["completed"] == true {
            " ✓"
        } else {
            ""
        };
        format!("#{} {}{tick}", task["task_id"], title(task))
    };
    tasks.iter().map(line).collect::<Vec<_>>().join("\n")
}
