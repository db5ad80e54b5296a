//! The texts of the pages in two languages. English is the key; a text that
//! has no translation is shown in English.

/// A language of the pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// Left to right.
    English,
    /// Right to left.
    Urdu,
}

impl Language {
    /// Returns the code for the `lang` attribute.
    pub fn code(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Urdu => "ur",
        }
    }

    /// Returns the direction for the `dir` attribute.
    pub fn direction(self) -> &'static str {
        match self {
            Self::English => "ltr",
            Self::Urdu => "rtl",
        }
    }

    /// Returns a text in this language.
    pub fn say(self, english: &str) -> &str {
        if self == Self::English {
            return english;
        }
        let found = URDU.iter().find(|(key, _)| *key == english);
        found.map_or(english, |(_, urdu)| urdu)
    }
}

const URDU: &[(&str, &str)] = &[
    ("Skip to content", "مواد پر جائیں"),
    ("Tasks", "کام"),
    ("Assistant", "معاون"),
    ("Status", "حالت"),
    ("Settings", "ترتیبات"),
    ("Reminders", "یاد دہانیاں"),
    ("Sign in", "سائن اِن"),
    ("Sign out", "سائن آؤٹ"),
    ("Get started", "شروع کریں"),
    ("Name", "نام"),
    ("Email", "ای میل"),
    ("Password", "پاس ورڈ"),
    ("Create your account", "اپنا اکاؤنٹ بنائیں"),
    ("Create account", "اکاؤنٹ بنائیں"),
    ("Welcome back", "خوش آمدید"),
    ("Good morning", "صبح بخیر"),
    ("Good afternoon", "سہ پہر بخیر"),
    ("Good evening", "شام بخیر"),
    ("open", "باقی"),
    ("done", "مکمل"),
    ("overdue", "تاخیر"),
    ("Overdue", "تاخیر والے"),
    ("Today", "آج"),
    ("Tomorrow", "کل"),
    ("Yesterday", "گزشتہ کل"),
    ("Later", "بعد میں"),
    ("Whenever", "جب بھی"),
    ("Done", "مکمل"),
    ("All", "سب"),
    ("Open", "باقی"),
    ("What needs doing?", "کیا کرنا ہے؟"),
    ("New task", "نیا کام"),
    ("Add", "شامل کریں"),
    ("Add task", "کام شامل کریں"),
    ("Priority", "ترجیح"),
    ("Any priority", "کوئی بھی ترجیح"),
    ("Low", "کم"),
    ("Medium", "درمیانی"),
    ("High", "زیادہ"),
    ("Urgent", "فوری"),
    ("low", "کم"),
    ("medium", "درمیانی"),
    ("high", "زیادہ"),
    ("urgent", "فوری"),
    ("Due date", "آخری تاریخ"),
    ("Due", "آخری وقت"),
    ("Tags", "ٹیگ"),
    ("Search", "تلاش"),
    ("Search tasks", "کام تلاش کریں"),
    ("Sort", "ترتیب"),
    ("By date", "تاریخ سے"),
    ("Newest first", "نئے پہلے"),
    ("By priority", "ترجیح سے"),
    ("By title", "نام سے"),
    ("Any date", "کوئی بھی تاریخ"),
    ("This week", "اس ہفتے"),
    ("Apply", "لاگو کریں"),
    ("Filter", "چھانٹیں"),
    ("Nothing to do", "کوئی کام نہیں"),
    (
        "A clear list. Add a task above, or tell the assistant what is on your mind.",
        "فہرست خالی ہے۔ اوپر کام شامل کریں، یا معاون کو بتائیں۔",
    ),
    ("Nothing fits", "کچھ نہیں ملا"),
    ("No task fits this filter.", "اس چھانٹ میں کوئی کام نہیں۔"),
    ("Show all tasks", "سب کام دکھائیں"),
    ("Delete", "حذف کریں"),
    ("Save", "محفوظ کریں"),
    ("Title", "عنوان"),
    ("Notes", "تفصیل"),
    ("Repeat", "دہرائیں"),
    ("Never", "کبھی نہیں"),
    ("Every day", "ہر روز"),
    ("Every week", "ہر ہفتے"),
    ("Every month", "ہر مہینے"),
    ("Files", "فائلیں"),
    ("Attach", "منسلک کریں"),
    ("Remove", "ہٹائیں"),
    ("Back to your tasks", "کاموں پر واپس"),
    ("Ask the assistant", "معاون سے پوچھیں"),
    ("Send", "بھیجیں"),
    ("Message", "پیغام"),
    ("New conversation", "نئی گفتگو"),
    ("Conversations", "گفتگوئیں"),
    ("Delete conversation", "گفتگو حذف کریں"),
    ("Speak", "بولیں"),
    ("Profile", "پروفائل"),
    ("Picture", "تصویر"),
    ("Appearance", "ظاہری شکل"),
    ("Theme", "تھیم"),
    ("Like the device", "آلے کی طرح"),
    ("Light", "روشن"),
    ("Dark", "تاریک"),
    ("Language", "زبان"),
    ("Time zone", "ٹائم زون"),
    (
        "Also send reminders by email",
        "یاد دہانیاں ای میل سے بھی بھیجیں",
    ),
    ("Upload", "اپ لوڈ"),
    ("Saved.", "محفوظ ہو گیا۔"),
    ("Forgot your password?", "پاس ورڈ بھول گئے؟"),
    ("Mark all read", "سب پڑھا ہوا کریں"),
    ("Nothing new", "کچھ نیا نہیں"),
    ("Due today", "آج کے کام"),
    (
        "Say what you want to get done.",
        "بتائیں آپ کیا کرنا چاہتے ہیں۔",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_has_one_translation() {
        for (place, (english, urdu)) in URDU.iter().enumerate() {
            assert!(!urdu.is_empty(), "{english}");
            assert!(
                !URDU[..place].iter().any(|(other, _)| other == english),
                "{english} twice"
            );
        }
        assert_eq!(Language::Urdu.say("Tasks"), "کام");
        assert_eq!(Language::Urdu.say("no such text"), "no such text");
    }
}
