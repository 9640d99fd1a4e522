//! Dates as people read them, in UTC. No decision is made from one.

use crate::types::TimestampMs;

/// Days since 1970 to year, month, day.
///
/// Source: H. Hinnant, "chrono-Compatible Low-Level Date Algorithms".
fn civil(days: i64) -> (i64, u32, u32) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let day_of_era = z.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month as u32, (day_of_year - (153 * shifted + 2) / 5 + 1) as u32)
}

fn clock_time(seconds: i64) -> (i64, i64, i64) {
    let of_day = seconds.rem_euclid(86_400);
    (of_day / 3600, of_day / 60 % 60, of_day % 60)
}

/// `Fri Oct 25 00:00:00 UTC 2024`, as `java.util.Properties` dates a file.
pub(crate) fn java_date(at: TimestampMs) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let seconds = at.0.div_euclid(1000);
    let days = seconds.div_euclid(86_400);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = clock_time(seconds);
    let (weekday, month) = (DAYS[days.rem_euclid(7) as usize], MONTHS[month as usize - 1]);
    format!("{weekday} {month} {day:02} {hour:02}:{minute:02}:{second:02} UTC {year}")
}

/// `2024-10-25T00:00:00Z`, with milliseconds where there are any.
pub fn iso_date(at: TimestampMs) -> String {
    let seconds = at.0.div_euclid(1000);
    let (year, month, day) = civil(seconds.div_euclid(86_400));
    let (hour, minute, second) = clock_time(seconds);
    let millis = match at.0.rem_euclid(1000) {
        0 => String::new(),
        millis => format!(".{millis:03}"),
    };
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{millis}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(java_date(TimestampMs(1_729_814_400_000)), "Fri Oct 25 00:00:00 UTC 2024");
        assert_eq!(iso_date(TimestampMs(951_782_399_999)), "2000-02-28T23:59:59.999Z");
        assert_eq!(iso_date(TimestampMs(-1000)), "1969-12-31T23:59:59Z");
        // The ends of what a record's timestamp field can hold.
        assert_eq!(iso_date(TimestampMs(i64::MAX)), "292278994-08-17T07:12:55.807Z");
        assert_eq!(iso_date(TimestampMs(i64::MIN)), "-292275055-05-16T16:47:04.192Z");
    }
}
