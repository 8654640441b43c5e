//! The style sheet of the HTML report. Colours of outcomes are told apart by those who don't see
//! all colours (after Okabe and Ito), in light and dark.

pub(super) const SHEET: &str = "
:root{--page:#fff;--text:#1c2024;--soft:#5c656e;--line:#d9dde1;--panel:#f5f6f8;--plot:#fafbfc;
--good:#0a7350;--warn:#9a5b00;--bad:#b3261e;--band:#b3261e18;--mark:#4a5560;
--ok:#7fc4ad;--refused:#d55e00;--reset:#b0478c;--timed_out:#7a1f1f;--not_resolved:#5b4bb7;
--http_error:#e0a100;--sql_error:#0072b2;
--garbled:#6b7280;--not_sent:#1c2024;
--r0:#2f6fb3;--r1:#e08a1e;--r2:#3d9a6c;--r3:#a05bb0;--r4:#c04f5f;--r5:#6f7f1d;--r6:#3aa0b5;
--r7:#8a6b4f;--none:#c6ccd2;--lat:#2f6fb3;--latmax:#2f6fb340}
@media (prefers-color-scheme:dark){:root{--page:#14171a;--text:#e7eaed;--soft:#9aa4ae;
--line:#32383f;--panel:#1c2024;--plot:#191d21;--good:#5fd0a6;--warn:#f0b35a;--bad:#ff8a80;
--band:#ff8a801c;--mark:#a7b1bb;--ok:#3f7f6c;--refused:#f0803a;--reset:#dd7fbf;
--timed_out:#e46a6a;--not_resolved:#a59bf2;--http_error:#f2c744;--sql_error:#56b4e9;
--garbled:#9ca3af;--not_sent:#e7eaed;
--r0:#6aa5e3;--r1:#efac58;--r2:#67c295;--r3:#c98fd6;--r4:#e58390;--r5:#b3c254;--r6:#72c9db;
--r7:#bd9f83;--none:#4a525a;--lat:#6aa5e3;--latmax:#6aa5e340}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--text);font:16px/1.5 system-ui,sans-serif}
main{max-width:1080px;margin:0 auto;padding:28px 20px 60px}
h1{font-size:30px;line-height:1.2;margin:4px 0 12px}
h2{font-size:19px;margin:36px 0 12px;padding-top:14px;border-top:1px solid var(--line)}
h3{font-size:15px;margin:22px 0 6px}
p{margin:0 0 8px}
.kind,.lead,.note,.of,.soft{color:var(--soft)}
.kind{font-size:14px;margin:0}
.lead{max-width:76ch}
.verdict{display:inline-block;font-weight:600;padding:3px 12px;border-radius:6px;
border:1.5px solid currentColor}
.good{color:var(--good)}.bad{color:var(--bad)}.warn{color:var(--warn)}
.story{margin:0;padding-left:20px;max-width:80ch;font-size:17px}
.story li{margin:5px 0}
.cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(190px,1fr));gap:12px}
.card{background:var(--panel);border:1px solid var(--line);border-left:5px solid currentColor;
border-radius:6px;padding:10px 12px}
.card p{margin:0}
.card .value{font-size:24px;font-weight:650;line-height:1.2}
.card .what{color:var(--text);font-size:14px;font-weight:600}
.card .of{font-size:13px;line-height:1.35;margin-top:2px}
.scroll{overflow-x:auto}
table{border-collapse:collapse;font-size:14px;min-width:40%;font-variant-numeric:tabular-nums}
th{text-align:left;font-weight:600;color:var(--soft);white-space:nowrap}
th,td{padding:5px 14px 5px 0;border-bottom:1px solid var(--line);vertical-align:top}
td.n,th.n{text-align:right;white-space:nowrap;padding-left:6px}
td.w{white-space:nowrap}
code{font:13px/1.4 ui-monospace,monospace;overflow-wrap:anywhere}
tr.fault td{font-weight:600;color:var(--bad)}
tr.trouble td{color:var(--bad)}
details{margin:8px 0}summary{cursor:pointer;color:var(--soft);font-size:14px}
.legend{display:flex;flex-wrap:wrap;gap:4px 16px;font-size:13px;color:var(--soft);margin:0 0 8px}
.legend i{display:inline-block;width:12px;height:12px;border-radius:2px;margin-right:6px;
vertical-align:-1px}
.legend i.thin{width:18px;height:0;border-top:2px solid;border-radius:0;vertical-align:4px}
.row{margin:0 0 14px;break-inside:avoid}.row.tight{margin-bottom:5px}
.row .name{display:flex;flex-wrap:wrap;gap:0 10px;font-size:14px;margin:0 52px 3px 0}
.row .name .soft{font-size:13px}
.row .name .end{margin-left:auto}
.plot,.axis,.flags{margin-right:52px}
.nb{white-space:nowrap}
.plot{position:relative;background:var(--plot);border:1px solid var(--line);border-radius:3px}
.plot svg{display:block;width:100%;height:100%}
.strip{height:46px}.lat{height:74px;border-top:0}.dns{height:18px}.dots{height:110px}
.grid{stroke:var(--line);stroke-width:1;vector-effect:non-scaling-stroke}
.mark{stroke:var(--mark);stroke-width:1.5;vector-effect:non-scaling-stroke;stroke-dasharray:4 3}
.band{fill:var(--band)}
.line{fill:none;stroke:var(--lat);stroke-width:1.6;vector-effect:non-scaling-stroke}
.area{fill:var(--latmax);stroke:none}
.dot{fill:none;stroke:var(--reset);stroke-width:6;stroke-linecap:round;stroke-opacity:.55;
vector-effect:non-scaling-stroke}
.y{position:absolute;left:100%;padding-left:5px;transform:translateY(-50%);font-size:11px;
line-height:1;color:var(--soft);white-space:nowrap}
.axis{position:relative;height:20px;font-size:12px;color:var(--soft)}
.axis span{position:absolute;transform:translateX(-50%);white-space:nowrap}
.axis span.first{transform:none}.axis span.last{transform:translateX(-100%)}
.flags{position:relative;height:22px;font-size:13px;font-weight:600;color:var(--bad)}
.flags.moves{color:var(--mark)}
.flags span{position:absolute;white-space:nowrap}
.flags span.left{transform:translateX(-100%);padding-right:6px}
.flags span.right{padding-left:2px}
dl.run{display:grid;grid-template-columns:max-content 1fr;gap:4px 18px;font-size:14px;margin:0}
dl.run dt{color:var(--soft)}dl.run dd{margin:0;overflow-wrap:anywhere}
dl.words{font-size:14px;margin:0}dl.words dt{font-weight:600}
dl.words dd{margin:0 0 8px;color:var(--soft);max-width:86ch}
@media (max-width:640px){main{padding:16px 14px 40px}h1{font-size:24px}
.story{font-size:16px}.axis span.odd{display:none}.cards{grid-template-columns:1fr 1fr}
.row .name .end{margin-left:0}dl.run{grid-template-columns:1fr}dl.run dd{margin-bottom:6px}}
@media print{:root{color-scheme:light}body{font-size:12px}main{max-width:none;padding:0}
h2{break-after:avoid}tr,.card,.row{break-inside:avoid}
.card,.plot,.plot *,.legend i{print-color-adjust:exact;-webkit-print-color-adjust:exact}}
";

#[cfg(test)]
mod tests {
    use super::SHEET;
    use crate::observations::Outcome;

    #[test]
    fn every_class_of_outcome_has_a_colour_in_light_and_in_dark() {
        for class in Outcome::CLASSES {
            let count = SHEET.matches(&format!("--{class}:#")).count();
            assert_eq!(count, 2, "{class}");
        }
    }
}
