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
    ("Pages", "صفحات"),
    ("Previous", "پچھلا"),
    ("Next", "اگلا"),
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
    ("Main", "مرکزی"),
    ("Account", "اکاؤنٹ"),
    ("Complete", "مکمل کریں"),
    ("Reopen", "دوبارہ کھولیں"),
    ("Completed", "مکمل ہوا"),
    ("Reopened", "دوبارہ کھلا"),
    ("Added", "شامل ہوا"),
    ("Deleted", "حذف ہوا"),
    ("Undo", "واپس کریں"),
    ("Repeats", "دہرایا جاتا ہے"),
    ("No reminder", "کوئی یاد دہانی نہیں"),
    ("When it is due", "عین وقت پر"),
    ("10 minutes before", "10 منٹ پہلے"),
    ("An hour before", "ایک گھنٹہ پہلے"),
    ("A day before", "ایک دن پہلے"),
    ("8 characters or more.", "کم از کم 8 حروف۔"),
    ("Already here?", "پہلے سے اکاؤنٹ ہے؟"),
    ("New here?", "نئے ہیں؟"),
    ("Choose a new password", "نیا پاس ورڈ چنیں"),
    (
        "We send you a link that is good for a day.",
        "ہم آپ کو ایک لنک بھیجیں گے جو ایک دن چلے گا۔",
    ),
    ("Look into your mail", "اپنی ای میل دیکھیں"),
    (
        "If the address has an account, a link is on its way.",
        "اگر اس پتے کا اکاؤنٹ ہے تو لنک بھیج دیا گیا ہے۔",
    ),
    ("Your password is changed", "آپ کا پاس ورڈ بدل گیا"),
    ("Sign in with the new one.", "نئے پاس ورڈ سے سائن اِن کریں۔"),
    (
        "PNG, JPEG, WebP, PDF or text, 5 MB at most.",
        "PNG، JPEG، WebP، PDF یا متن، زیادہ سے زیادہ 5 MB۔",
    ),
    (
        "PNG, JPEG or WebP, 5 MB at most.",
        "PNG، JPEG یا WebP، زیادہ سے زیادہ 5 MB۔",
    ),
    (
        "We cannot reach your tasks",
        "آپ کے کاموں تک رسائی نہیں ہو رہی",
    ),
    (
        "The service behind this page does not answer at the moment. Nothing is lost; try again shortly.",
        "اس صفحے کے پیچھے کی سروس ابھی جواب نہیں دے رہی۔ کچھ ضائع نہیں ہوا؛ تھوڑی دیر میں دوبارہ کوشش کریں۔",
    ),
    ("Try again", "دوبارہ کوشش کریں"),
    ("Look at the status", "حالت دیکھیں"),
    ("Go to the start page", "پہلے صفحے پر جائیں"),
    ("Page not found", "صفحہ نہیں ملا"),
    ("That did not work", "یہ نہیں ہو سکا"),
    (
        "The address or the form cannot be read.",
        "پتہ یا فارم پڑھا نہیں جا سکا۔",
    ),
    ("No such task", "ایسا کوئی کام نہیں"),
    ("It may have been deleted.", "شاید اسے حذف کر دیا گیا ہے۔"),
    ("Tasks you can talk to", "کام، جن سے بات کی جا سکے"),
    (
        "A clear head, one task at a time.",
        "پُرسکون ذہن، ایک وقت میں ایک کام۔",
    ),
    (
        "Write down what is on your mind, in a list or in plain words. Tidy remembers the date, asks when it is not sure, and keeps everything on your own machine.",
        "جو ذہن میں ہے لکھ ڈالیں، فہرست میں یا سادہ الفاظ میں۔ Tidy تاریخ یاد رکھتا ہے، شک ہو تو پوچھتا ہے، اور سب کچھ آپ ہی کی مشین پر رکھتا ہے۔",
    ),
    ("Say it as you think it", "جیسے سوچیں ویسے کہیں"),
    (
        "“Pay the rent by Friday, high priority” becomes a task with a date. English and Urdu, typed or spoken.",
        "”جمعے تک کرایہ دینا ہے“ تاریخ والا کام بن جاتا ہے۔ انگریزی اور اردو، لکھ کر یا بول کر۔",
    ),
    ("It asks, it never guesses", "پوچھتا ہے، اندازہ نہیں لگاتا"),
    (
        "Two meetings on the list? Then “delete the meeting” is a question first. Nothing is lost by a misunderstanding.",
        "فہرست میں دو میٹنگیں ہیں؟ تو ”میٹنگ حذف کرو“ پر پہلے سوال آئے گا۔ غلط فہمی سے کچھ ضائع نہیں ہوتا۔",
    ),
    ("Yours, and offline", "آپ کا اپنا، انٹرنیٹ کے بغیر"),
    (
        "No key and no account elsewhere is needed. Add an OpenAI, Gemini or Cohere key when you want more.",
        "کسی کلید یا کہیں اور اکاؤنٹ کی ضرورت نہیں۔ مزید چاہیں تو OpenAI، Gemini یا Cohere کی کلید شامل کریں۔",
    ),
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
